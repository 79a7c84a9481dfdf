import { STATUS_CODES } from 'node:http'
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Fields } from './fields.ts'
import { byteRangeOf, byteRangeWithin, contentRangeField } from './policy/byte-ranges.ts'
import type { ByteRange } from './policy/byte-ranges.ts'
import { isNotModified } from './policy/conditional.ts'
import { ageSeconds } from './policy/freshness.ts'
import type { StoredPartial, StoredResponse } from './records/stored-record.ts'

/** Fields of the content, which 304 has none of. */
const OF_CONTENT = /^content-(?:type|length|encoding|language|range)$/

/** How a stored response is sent. */
export interface SendConditions {
  /** The client's own fields. */
  readonly headers: IncomingHttpHeaders
  readonly isHead: boolean
  readonly cacheStatus: string
  readonly nowMs: number
  /** Sends the head, with the fields that are set by then, and the body. */
  readonly send: (status: number, body: Buffer | undefined) => void
}

/** A stored response or part, as far as sending it goes. */
type Sendable = StoredResponse | StoredPartial

/**
 * The fields by which a client's conditions are evaluated: those that are stored, and the validators that were set on
 * this response before the cache, as by `@Header('ETag', …)` of Nest, which are sent with it.
 */
export function sentValidators(
  response: ServerResponse,
  { fields, removed }: Pick<StoredResponse, 'fields' | 'removed'>,
): Fields {
  const added: Fields = {}
  let isAdded = false
  for (const name of ['etag', 'last-modified']) {
    const value = Object.hasOwn(fields, name) || removed.includes(name) ? undefined : response.getHeader(name)
    if (value === undefined) continue
    added[name] = String(value)
    isAdded = true
  }
  return isAdded ? { ...fields, ...added } : fields
}

/** Whether the body of a stored response is sent: not in answer to a HEAD, nor to a client that has it already. */
export function needsBody(
  response: ServerResponse,
  stored: Sendable,
  headers: IncomingHttpHeaders,
  isHead: boolean,
): boolean {
  return !isHead && !isNotModified(headers, stored.status, sentValidators(response, stored), stored.receivedMs)
}

/**
 * Answers with a stored response: all of it, a part, or 304 for a client that has it already; with `Age` and
 * `Cache-Status`.
 *
 * @param body `undefined` where `needsBody` says that none is sent.
 */
export function sendStored(
  response: ServerResponse,
  stored: Sendable,
  body: Buffer | undefined,
  { headers, isHead, cacheStatus, nowMs, send }: SendConditions,
): void {
  const { status, length } = stored
  const validators = sentValidators(response, stored)
  const isKnown = !isHead && body === undefined ? true : isNotModified(headers, status, validators, stored.receivedMs)
  setStoredFields(response, stored, { isKnown, cacheStatus, nowMs })
  if (isKnown) return send(304, undefined)
  const selected = body === undefined ? undefined : selectRange(stored, headers, validators)
  if (selected === 'unsatisfiable') {
    response.setHeader('Content-Range', `bytes */${length}`)
    response.setHeader('Content-Length', '0')
    return send(416, undefined)
  }
  if (selected !== undefined) {
    const { range, offset, total } = selected
    const part = body!.subarray(range.first - offset, range.last - offset + 1)
    response.setHeader('Content-Range', contentRangeField(range, total))
    response.setHeader('Content-Length', String(part.length))
    return send(206, part)
  }
  if (status !== 204 && status !== 205) response.setHeader('Content-Length', String(length))
  send(status, length === 0 ? undefined : body)
}

/** The range of a stored body that is sent; `undefined`: all of it. */
function selectRange(
  stored: Sendable,
  headers: IncomingHttpHeaders,
  validators: Fields,
): { range: ByteRange; offset: number; total: number | undefined } | 'unsatisfiable' | undefined {
  const { length } = stored
  if (stored.kind === 'partial') {
    const { first, total } = stored.part
    const range = byteRangeWithin(headers, validators, { ...stored.part, length })
    // A part is sent only for a range within it.
    return range === undefined ? 'unsatisfiable' : { range, offset: first, total }
  }
  const range = stored.status === 200 ? byteRangeOf(headers, validators, length) : undefined
  return range === undefined || range === 'unsatisfiable' ? range : { range, offset: 0, total: length }
}

/** Sets the fields of a stored response, with `Age` and `Cache-Status`. */
export function setStoredFields(
  response: ServerResponse,
  stored: Pick<StoredResponse, 'fields' | 'removed' | 'receivedMs' | 'lifetimes'>,
  { isKnown, cacheStatus, nowMs }: { isKnown: boolean; cacheStatus: string; nowMs: number },
): void {
  for (const name of stored.removed) response.removeHeader(name)
  const { fields } = stored
  for (const name of Object.keys(fields)) {
    if (isKnown && OF_CONTENT.test(name)) continue
    const value = fields[name]!
    // The record is shared, and `appendHeader` adds to the very list that was set.
    response.setHeader(name, typeof value === 'string' ? value : [...value])
  }
  response.setHeader('Age', String(Math.floor(ageSeconds(stored, nowMs))))
  response.setHeader('Cache-Status', cacheStatus)
}

/** The reason phrase of a status, in place of one that is set already; HTTP/2 has none (RFC 9113, section 8.3.2). */
export function reasonOf(response: ServerResponse, status: number): [] | [string] {
  const reason = STATUS_CODES[status]
  return 'stream' in response || reason === undefined ? [] : [reason]
}

/** Sends by a response's own methods. */
export function sendBy(response: ServerResponse): SendConditions['send'] {
  return (status, body) => {
    response.writeHead(status, ...reasonOf(response, status))
    response.end(body)
  }
}
