import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { serialize } from 'node:v8'
import { holdContent, knownContent } from './held-content.ts'
import { NO_CONTENT, TOO_LARGE } from './request-content.ts'
import type { KnownContent, RequestContent } from './request-content.ts'
import { hasBody } from '../policy/request-key.ts'
import type { RequestTarget } from '../policy/request-key.ts'
import type { ApplicationRequest } from '../policy/identity.ts'

/**
 * Reads the content of a request, which its handler then reads as if nobody had.
 *
 * @param maxBytes content that is larger is `unknown`.
 */
export async function contentOf(
  { request, application = request }: RequestTarget,
  response: ServerResponse,
  maxBytes: number,
): Promise<RequestContent> {
  if (!hasBody(request)) return NO_CONTENT
  // The client may be waiting for its handler to want the content.
  if (request.headers.expect !== undefined) return { kind: 'unknown', reason: 'expect' }
  const known = knownContent(request)
  if (known !== undefined) return known
  if (request.readableDidRead) return parsedContent(request, application, maxBytes)
  // A reader that has asked for text, or has begun to listen, must not lose what it waits for.
  const isTouched = request.readableEncoding !== null || request.readableFlowing !== null
  return isTouched ? { kind: 'unknown', reason: 'content-read' } : holdContent(request, response, maxBytes)
}

/**
 * What tells the content of a request from every other one in the key: a hash of its bytes, and of the fields about it,
 * such as `Content-Type` and `Content-Encoding` (RFC 10008, section 2.7).
 */
export function contentKey({ headers }: IncomingMessage, { kind, bytes }: KnownContent): string {
  const about = Object.keys(headers).filter((name) => name.startsWith('content-') && name !== 'content-length')
  const fields = about.sort().map((name) => [name, headers[name]])
  // The text of the list ends by itself, so that none of it can be taken for content.
  return createHash('sha256')
    .update(JSON.stringify([kind, fields]))
    .update(bytes)
    .digest('base64url')
}

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
function parsedContent(request: IncomingMessage, application: ApplicationRequest, maxBytes: number): RequestContent {
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
