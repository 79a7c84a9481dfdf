import type { IncomingHttpHeaders } from 'node:http'
import { lineOf } from '../fields.ts'
import type { Fields } from '../fields.ts'
import { parseHttpDate } from './http-date.ts'

/** A range of bytes: the positions of its first and its last byte. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}

/**
 * The bytes of a representation that a stored 206 contains. The position of the last byte follows from the length of
 * its body.
 */
export interface ContentPart {
  /** The position of its first byte. */
  readonly first: number
  /** The length of the whole representation, in bytes; `undefined` if the response does not state it. */
  readonly total: number | undefined
  /** Whether its last byte is the last byte of the representation. */
  readonly isTail: boolean
}

/** A single byte range of a request, as its digits: `bytes=from-to`, `bytes=from-` or `bytes=-to`. */
interface RangeSpec {
  readonly from: number | undefined
  readonly to: number | undefined
}

const MAX_POSITION = Number.MAX_SAFE_INTEGER

/**
 * Parses a `Range` field with a single byte range; returns `undefined` for several ranges, other units and invalid
 * fields.
 */
function parseRange(line: string | undefined): RangeSpec | undefined {
  const match = /^bytes=(\d*)-(\d*)$/i.exec(line?.trim() ?? '')
  if (match === null) return undefined
  const from = match[1] === '' ? undefined : Number(match[1])
  const to = match[2] === '' ? undefined : Number(match[2])
  if (from === undefined && to === undefined) return undefined
  if (from !== undefined && to !== undefined && to < from) return undefined
  return Math.max(from ?? 0, to ?? 0) > MAX_POSITION ? undefined : { from, to }
}

/** Returns whether a request is for one range of bytes, which a stored part may satisfy. */
export function isSingleRange({ range }: IncomingHttpHeaders): boolean {
  return parseRange(range) !== undefined
}

/**
 * Returns the range that a request selects from a whole representation (RFC 9110, section 14.1.2); `undefined` if the
 * response is the whole representation, as for several ranges and for a range of another version.
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
 * Returns the range that a request selects from a representation of which one part is stored; `undefined` if the part
 * does not contain the whole range, or belongs to another version.
 */
export function byteRangeWithin(
  request: IncomingHttpHeaders,
  fields: Fields,
  { first, total, isTail, length }: ContentPart & { readonly length: number },
): ByteRange | undefined {
  const range = parseRange(request.range)
  if (range === undefined || !isSameVersion(request, fields)) return undefined
  const last = first + length - 1
  // The last position of the representation, if the part states it.
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

/** Returns the `Content-Range` of a part (RFC 9110, section 14.4). */
export function contentRangeField({ first, last }: ByteRange, total: number | undefined): string {
  return `bytes ${first}-${last}/${total ?? '*'}`
}

/** Returns whether a 206 has a single part and states its range. */
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
 * Returns the part that the body of a 206 contains, by its `Content-Range` and its length; `undefined` if they
 * disagree. If the range reaches the end of the representation and the body is shorter, the body is taken as the tail
 * of a representation of unknown length, since some handlers state a last position that is one too high.
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

/**
 * Returns whether `If-Range` is absent or matches, by the strong comparison or the exact date (RFC 9110, section
 * 13.1.5).
 */
function isSameVersion(request: IncomingHttpHeaders, fields: Fields): boolean {
  const condition = lineOf(request, 'if-range')
  if (condition === undefined) return true
  const isTag = condition.startsWith('"') || condition.startsWith('W/')
  if (isTag) return !condition.startsWith('W/') && condition === lineOf(fields, 'etag')
  return condition === lineOf(fields, 'last-modified')
}

/**
 * A `Last-Modified` is a strong validator if the response was created at least this long after it (RFC 9110, section
 * 8.8.2.2).
 */
const MIN_STRONG_MS = 1000

/**
 * Returns the strong validator of a response, by which parts of it may be combined (RFC 9110, section 15.3.7.3): its
 * entity tag, or else its `Last-Modified` if that is strong; `undefined` if it has neither.
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
