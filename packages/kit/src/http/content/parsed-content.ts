import type { IncomingMessage } from 'node:http'
import { serialize } from 'node:v8'
import type { ApplicationRequest } from '../policy/identity.ts'
import { TOO_LARGE } from './request-content.ts'
import type { RequestContent } from './request-content.ts'

/**
 * Types whose parsed value is all that their handlers see of the content. Of others it is a part: the files of
 * `multipart/form-data` are found in other places.
 */
const PARSED_WHOLE = /^\s*application\/(?:json|[\w.+-]+\+json|x-www-form-urlencoded)\s*(?:;|$)/i

const UNKNOWN: RequestContent = { kind: 'unknown', reason: 'content-read' }

/**
 * What middleware before the cache has read, by what it has left on the request (`body`, and `rawBody`). Bytes and text
 * are taken as they are, and so is parsed JSON or a parsed form.
 */
export function parsedContent(
  request: IncomingMessage,
  application: ApplicationRequest,
  maxBytes: number,
): RequestContent {
  const { body, rawBody } = application as { body?: unknown; rawBody?: unknown }
  const isAll = typeof body === 'string' || body instanceof Uint8Array
  const isParsed = body !== undefined && body !== null && PARSED_WHOLE.test(request.headers['content-type'] ?? '')
  if (!isAll && !isParsed) return UNKNOWN
  try {
    // Different values give different bytes. Equal ones may too, as by the order of their keys, which costs a miss.
    const bytes = serialize([body, rawBody])
    return bytes.length > maxBytes ? TOO_LARGE : { kind: 'parsed', bytes }
  } catch {
    return UNKNOWN
  }
}
