import { STATUS_CODES } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeader, ServerResponse } from 'node:http'
import type { Fields } from './fields.ts'
import { byteRangeOf, byteRangeWithin, contentRangeField } from './policy/byte-ranges.ts'
import type { ByteRange } from './policy/byte-ranges.ts'
import { isNotModified } from './policy/conditional.ts'
import { ageSeconds } from './policy/freshness.ts'
import type { StoredPartial, StoredResponse } from './records/stored-record.ts'

/** Fields about the content, which a 304 does not have. */
const OF_CONTENT = /^content-(?:type|length|encoding|language|range)$/

/** The conditions for sending a stored response. */
export interface SendConditions {
  /** `undefined` if `needsBody` returns `false`. */
  readonly body: Buffer | undefined
  /** The client's own fields. */
  readonly headers: IncomingHttpHeaders
  readonly isHead: boolean
  readonly cacheStatus: string
  readonly nowMs: number
  /** Sends the head, with the fields that are set on the response, and the body. */
  readonly send: (status: number, body: Buffer | undefined, reason?: string) => void
}

/** A stored response or a stored part. */
type Sendable = StoredResponse | StoredPartial

/**
 * Returns the fields by which a client's conditions are evaluated: the stored fields, and validators that were set on
 * this response before the cache, for example by `@Header('ETag', …)` of Nest.
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

/** Returns whether the body of a stored response is sent: not for a HEAD, and not to a client that already has it. */
export function needsBody(
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
  stored: Sendable,
): boolean {
  if (request.method === 'HEAD') return false
  const { status, receivedMs } = stored
  return !isNotModified(request.headers, { status, fields: sentValidators(response, stored), receivedMs })
}

/** Sends a stored response, a range of it, or 304 if the client already has it; with `Age` and `Cache-Status`. */
export function sendStored(
  response: ServerResponse,
  stored: Sendable,
  { body, headers, isHead, cacheStatus, nowMs, send }: SendConditions,
): void {
  const { status, length, receivedMs } = stored
  const validators = sentValidators(response, stored)
  const isFound = !isHead && body === undefined
  const isKnown = isFound || isNotModified(headers, { status, fields: validators, receivedMs })
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
  send(status, length === 0 ? undefined : body, stored.reason)
}

/** Returns the range of a stored body that is sent; `undefined` means the whole body. */
function selectRange(
  stored: Sendable,
  headers: IncomingHttpHeaders,
  validators: Fields,
): { range: ByteRange; offset: number; total: number | undefined } | 'unsatisfiable' | undefined {
  const { length } = stored
  if (stored.kind === 'partial') {
    const { first, total } = stored.part
    const range = byteRangeWithin(headers, validators, { ...stored.part, length })
    // A stored part serves only ranges within it.
    return range === undefined ? 'unsatisfiable' : { range, offset: first, total }
  }
  const range = stored.status === 200 ? byteRangeOf(headers, validators, length) : undefined
  return range === undefined || range === 'unsatisfiable' ? range : { range, offset: 0, total: length }
}

/** Sets the fields of a stored response, with `Age` and `Cache-Status`. */
export function setStoredFields(
  response: ServerResponse,
  stored: Pick<StoredResponse, 'fields' | 'appended' | 'removed' | 'receivedMs' | 'lifetimes'>,
  { isKnown, cacheStatus, nowMs }: { isKnown: boolean; cacheStatus: string; nowMs: number },
): void {
  for (const name of stored.removed) response.removeHeader(name)
  const { fields, appended } = stored
  for (const name of Object.keys(fields)) {
    if (isKnown && OF_CONTENT.test(name)) continue
    const rest = appended !== undefined && Object.hasOwn(appended, name) ? appended[name] : undefined
    const value = rest === undefined ? fields[name]! : behind(response.getHeader(name), rest)
    // A copy: the record is shared by requests, and `appendHeader` adds to the list that was set.
    response.setHeader(name, typeof value === 'string' ? value : [...value])
  }
  response.setHeader('Age', String(Math.floor(ageSeconds(stored, nowMs))))
  response.setHeader('Cache-Status', cacheStatus)
}

/** Returns a value behind the value that middleware before the cache has set for this client. */
function behind(first: OutgoingHttpHeader | undefined, rest: string | string[]): string | string[] {
  if (first === undefined) return rest
  return typeof rest === 'string' && !Array.isArray(first) ? `${first}, ${rest}` : [first, rest].flat().map(String)
}

/**
 * Returns the reason phrase of a response, which replaces a `statusMessage`; HTTP/2 has none (RFC 9113, section 8.3.2).
 *
 * @param reason by default, the usual one of the status.
 */
export function reasonOf(response: ServerResponse, status: number, reason = STATUS_CODES[status]): [] | [string] {
  return 'stream' in response || reason === undefined ? [] : [reason]
}

/** Returns a function that sends by the response's own methods. */
export function sendBy(response: ServerResponse): SendConditions['send'] {
  return (status, body, reason) => {
    response.writeHead(status, ...reasonOf(response, status, reason))
    response.end(body)
  }
}
