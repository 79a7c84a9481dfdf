import { STATUS_CODES } from 'node:http'
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { byteRangeOf, isNotModified } from './policy/conditional.ts'
import { ageSeconds } from './policy/freshness.ts'
import type { StoredResponse } from './records/stored-record.ts'

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

/** Whether the body of a stored response is sent: not in answer to a HEAD, nor to a client that has it already. */
export function needsBody(stored: StoredResponse, headers: IncomingHttpHeaders, isHead: boolean): boolean {
  return !isHead && !isNotModified(headers, stored.status, stored.fields, stored.receivedMs)
}

/**
 * Answers with a stored response: all of it, a part, or 304 for a client that has it already; with `Age` and `Cache-Status`.
 * @param body `undefined` where `needsBody` says that none is sent.
 */
export function sendStored(
  response: ServerResponse,
  stored: StoredResponse,
  body: Buffer | undefined,
  { headers, isHead, cacheStatus, nowMs, send }: SendConditions,
): void {
  const { status, fields, length } = stored
  const isKnown = !isHead && body === undefined ? true : isNotModified(headers, status, fields, stored.receivedMs)
  setStoredFields(response, stored, { isKnown, cacheStatus, nowMs })
  if (isKnown) return send(304, undefined)
  const range = status === 200 && body !== undefined ? byteRangeOf(headers, fields, length) : undefined
  if (range === 'unsatisfiable') {
    response.setHeader('Content-Range', `bytes */${length}`)
    response.setHeader('Content-Length', '0')
    return send(416, undefined)
  }
  if (range !== undefined) {
    const part = body!.subarray(range.first, range.last + 1)
    response.setHeader('Content-Range', `bytes ${range.first}-${range.last}/${length}`)
    response.setHeader('Content-Length', String(part.length))
    return send(206, part)
  }
  if (status !== 204 && status !== 205) response.setHeader('Content-Length', String(length))
  send(status, length === 0 ? undefined : body)
}

/** Sets the fields of a stored response, with `Age` and `Cache-Status`. */
export function setStoredFields(
  response: ServerResponse,
  stored: Pick<StoredResponse, 'fields' | 'removed' | 'receivedMs' | 'lifetimes'>,
  { isKnown, cacheStatus, nowMs }: { isKnown: boolean; cacheStatus: string; nowMs: number },
): void {
  for (const name of stored.removed) response.removeHeader(name)
  for (const [name, value] of Object.entries(stored.fields)) {
    if (!isKnown || !OF_CONTENT.test(name)) response.setHeader(name, value)
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
