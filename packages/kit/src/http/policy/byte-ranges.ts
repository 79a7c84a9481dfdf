import type { IncomingHttpHeaders } from 'node:http'
import { lineOf } from '../fields.ts'
import type { Fields } from '../fields.ts'
import { parseHttpDate } from './http-date.ts'

/** A range of bytes: the positions of its first and its last byte. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}

/** Which bytes of a representation a stored 206 has. The last one is known by the length of its body. */
export interface ContentPart {
  /** The position of its first byte. */
  readonly first: number
  /** The length of the whole representation, in bytes; `undefined` if the response does not say. */
  readonly total: number | undefined
  /** Whether its last byte is the last one of the representation. */
  readonly isTail: boolean
}

/** A single byte range of a request, as its digits: `bytes=from-to`, `bytes=from-` or `bytes=-to`. */
interface RangeSpec {
  readonly from: number | undefined
  readonly to: number | undefined
}

const MAX_POSITION = Number.MAX_SAFE_INTEGER

/** The single byte range of a `Range` field; `undefined` for everything else: several ranges, other units, invalid ones. */
function parseRange(line: string | undefined): RangeSpec | undefined {
  const match = /^bytes=(\d*)-(\d*)$/i.exec(line?.trim() ?? '')
  if (match === null) return undefined
  const from = match[1] === '' ? undefined : Number(match[1])
  const to = match[2] === '' ? undefined : Number(match[2])
  if (from === undefined && to === undefined) return undefined
  if (from !== undefined && to !== undefined && to < from) return undefined
  return Math.max(from ?? 0, to ?? 0) > MAX_POSITION ? undefined : { from, to }
}

/** Whether a request is for one range of bytes, which a stored part may answer. */
export function isSingleRange({ range }: IncomingHttpHeaders): boolean {
  return parseRange(range) !== undefined
}

/**
 * The range that a request selects of a whole representation (RFC 9110, section 14.1.2); `undefined` if the whole is
 * the response, as for several ranges, and for a range of another version.
 */
export function byteRangeOf(
  request: IncomingHttpHeaders,
  fields: Fields,
  size: number,
): ByteRange | 'unsatisfiable' | undefined {
  const range = parseRange(request.range)
  if (range === undefined || !isSameVersion(request, fields)) return undefined
  const { from, to } = range
  if (from === undefined) {
    return to === 0 || size === 0 ? 'unsatisfiable' : { first: Math.max(0, size - to!), last: size - 1 }
  }
  return from >= size ? 'unsatisfiable' : { first: from, last: Math.min(to ?? size - 1, size - 1) }
}

/**
 * The range that a request selects of a representation of which one part is stored; `undefined` if the part does not
 * have all of it, or is one of another version.
 */
export function byteRangeWithin(
  request: IncomingHttpHeaders,
  fields: Fields,
  { first, total, isTail, length }: ContentPart & { readonly length: number },
): ByteRange | undefined {
  const range = parseRange(request.range)
  if (range === undefined || !isSameVersion(request, fields)) return undefined
  const last = first + length - 1
  // Where the representation ends, as far as the part tells.
  const end = total === undefined ? (isTail ? last : undefined) : total - 1
  const { from, to } = range
  let selected: ByteRange
  if (from === undefined) {
    if (end === undefined || to === 0) return undefined
    selected = { first: total === undefined ? end + 1 - to! : Math.max(0, end + 1 - to!), last: end }
  } else {
    const until = to === undefined ? end : Math.min(to, end ?? to)
    if (until === undefined || from > until) return undefined
    selected = { first: from, last: until }
  }
  return selected.first >= first && selected.last <= last ? selected : undefined
}

/** The `Content-Range` of a part (RFC 9110, section 14.4). */
export function contentRangeField({ first, last }: ByteRange, total: number | undefined): string {
  return `bytes ${first}-${last}/${total ?? '*'}`
}

/** Whether a 206 has a single part, and says which. */
export function hasContentRange(fields: Fields): boolean {
  return parseContentRange(fields) !== undefined
}

function parseContentRange(fields: Fields): (ByteRange & { total: number | undefined }) | undefined {
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i.exec(lineOf(fields, 'content-range')?.trim() ?? '')
  if (match === null) return undefined
  const [first, last] = [Number(match[1]), Number(match[2])]
  const total = match[3] === '*' ? undefined : Number(match[3])
  if (last < first || last > MAX_POSITION || (total !== undefined && last >= total)) return undefined
  return { first, last, total }
}

/**
 * Which part the body of a 206 is, by its `Content-Range` and its own length; `undefined` if they disagree. A body that
 * ends early where the representation ends, too, is taken as its tail, whose length is then unknown: some handlers
 * count the last byte one too high.
 */
export function contentPartOf(fields: Fields, length: number): ContentPart | undefined {
  const range = parseContentRange(fields)
  if (range === undefined || length === 0) return undefined
  const { first, last, total } = range
  const isTail = total !== undefined && last === total - 1
  const stated = last - first + 1
  if (length === stated) return { first, total, isTail }
  return length < stated && isTail ? { first, total: undefined, isTail } : undefined
}

/** `If-Range`: by the strong comparison, or the exact date (RFC 9110, section 13.1.5). */
function isSameVersion(request: IncomingHttpHeaders, fields: Fields): boolean {
  const condition = lineOf(request, 'if-range')
  if (condition === undefined) return true
  const isTag = condition.startsWith('"') || condition.startsWith('W/')
  if (isTag) return !condition.startsWith('W/') && condition === lineOf(fields, 'etag')
  return condition === lineOf(fields, 'last-modified')
}

/** A `Last-Modified` is strong if the response was made at least this long after it (RFC 9110, section 8.8.2.2). */
const MIN_STRONG_MS = 1000

/**
 * The strong validator of a response, by which parts of it may be combined (RFC 9110, section 15.3.7.3): its entity
 * tag, or else its date of modification if that is strong; `undefined` if it has none.
 */
export function strongValidator(fields: Fields, receivedMs: number): string | undefined {
  const tag = lineOf(fields, 'etag')
  if (tag !== undefined && /^"[^"]*"$/.test(tag)) return tag
  const modified = lineOf(fields, 'last-modified')
  const modifiedMs = parseHttpDate(modified, receivedMs)
  if (modifiedMs === undefined) return undefined
  const dateMs = parseHttpDate(lineOf(fields, 'date'), receivedMs) ?? receivedMs
  return dateMs - modifiedMs >= MIN_STRONG_MS ? modified : undefined
}
