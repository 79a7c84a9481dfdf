import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { holdContent, knownContent } from './held-content.ts'
import { parsedContent } from './parsed-content.ts'
import { NO_CONTENT } from './request-content.ts'
import type { KnownContent, RequestContent } from './request-content.ts'
import { hasBody } from '../policy/request-key.ts'
import type { RequestTarget } from '../policy/request-key.ts'

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
