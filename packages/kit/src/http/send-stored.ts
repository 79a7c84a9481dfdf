import { STATUS_CODES } from 'node:http'
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { byteRangeOf, isNotModified } from './conditional.ts'
import { ageSeconds } from './reuse.ts'
import type { StoredResponse } from './stored-record.ts'

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

/** Answers with a stored response: all of it, a part, or 304 for who has it already; with `Age` and `Cache-Status`. */
export function sendStored(
  response: ServerResponse,
  stored: StoredResponse,
  body: Buffer,
  { headers, isHead, cacheStatus, nowMs, send }: SendConditions,
): void {
  const { status, fields, receivedMs } = stored
  const isKnown = isNotModified(headers, status, fields, receivedMs)
  for (const [name, value] of Object.entries(fields)) {
    if (!isKnown || !OF_CONTENT.test(name)) response.setHeader(name, value)
  }
  response.setHeader('Age', String(Math.floor(ageSeconds(stored, nowMs))))
  response.setHeader('Cache-Status', cacheStatus)
  if (isKnown) return send(304, undefined)
  const range = status === 200 && !isHead ? byteRangeOf(headers, fields, body.length) : undefined
  if (range === 'unsatisfiable') {
    response.setHeader('Content-Range', `bytes */${body.length}`)
    response.setHeader('Content-Length', '0')
    return send(416, undefined)
  }
  const part = range === undefined ? body : body.subarray(range.first, range.last + 1)
  if (range !== undefined) response.setHeader('Content-Range', `bytes ${range.first}-${range.last}/${body.length}`)
  if (status !== 204 && status !== 205) response.setHeader('Content-Length', String(part.length))
  send(range === undefined ? status : 206, isHead || part.length === 0 ? undefined : part)
}

/** Sends by a response's own methods. */
export function sendBy(response: ServerResponse): SendConditions['send'] {
  return (status, body) => {
    response.writeHead(status, STATUS_CODES[status])
    response.end(body)
  }
}
