import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { serialize } from 'node:v8'
import { types } from 'node:util'
import { holdContent, knownContent, NO_CONTENT, TOO_LARGE } from './request-content.ts'
import type { KnownContent, RequestContent } from './request-content.ts'
import { hasBody } from '../policy/request-key.ts'
import type { RequestTarget } from '../policy/request-key.ts'
import type { ApplicationRequest } from '../policy/identity.ts'

/**
 * Reads the content of a request; the handler can read it again.
 *
 * @param maxBytes larger content is `unknown`.
 */
export async function contentOf(
  { request, application = request }: RequestTarget,
  response: ServerResponse,
  maxBytes: number,
): Promise<RequestContent> {
  if (!hasBody(request)) return NO_CONTENT
  // The client may wait for the handler to request the content (100).
  if (request.headers.expect !== undefined) return { kind: 'unknown', reason: 'expect' }
  const known = knownContent(request)
  if (known !== undefined) return known
  if (request.readableDidRead) return parsedContent(request, application, maxBytes)
  // If other code has set an encoding or a `data` listener, it must get the content itself.
  const isTouched = request.readableEncoding !== null || request.readableFlowing !== null
  return isTouched ? { kind: 'unknown', reason: 'content-read' } : holdContent(request, response, maxBytes)
}

/**
 * Returns the part of a key that identifies the content: a hash of its bytes, and of the fields about it, such as
 * `Content-Type` and `Content-Encoding` (RFC 10008, section 2.7).
 */
export function contentKey({ headers }: IncomingMessage, { kind, bytes }: KnownContent): string {
  const about = Object.keys(headers).filter((name) => name.startsWith('content-') && name !== 'content-length')
  const fields = about.sort().map((name) => [name, headers[name]])
  // The end of the JSON list is unambiguous, so fields and content cannot be confused.
  return createHash('sha256')
    .update(JSON.stringify([kind, fields]))
    .update(bytes)
    .digest('base64url')
}

/**
 * Types whose parsed value contains the whole content. For others it does not: the files of `multipart/form-data` are
 * elsewhere.
 */
const PARSED_WHOLE = /^\s*application\/(?:json|[\w.+-]+\+json|x-www-form-urlencoded)\s*(?:;|$)/i

const UNKNOWN: RequestContent = { kind: 'unknown', reason: 'content-read' }

/**
 * Returns the content that middleware before the cache has read, by the properties `body` and `rawBody` of the request:
 * bytes, text, parsed JSON or a parsed form.
 */
function parsedContent(request: IncomingMessage, application: ApplicationRequest, maxBytes: number): RequestContent {
  const { body, rawBody } = application as { body?: unknown; rawBody?: unknown }
  const isAll = typeof body === 'string' || types.isUint8Array(body)
  const isParsed = body !== undefined && body !== null && PARSED_WHOLE.test(request.headers['content-type'] ?? '')
  if (!isAll && !isParsed) return UNKNOWN
  try {
    // Different values give different bytes. Equal values may too, if their keys are in another order, which costs a
    // miss.
    const bytes = serialize([body, rawBody])
    return bytes.length > maxBytes ? TOO_LARGE : { kind: 'parsed', bytes }
  } catch {
    return UNKNOWN
  }
}
