import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { NO_CONTENT, TOO_LARGE } from './request-content.ts'
import type { RequestContent } from './request-content.ts'

type Push = (chunk: unknown, encoding?: BufferEncoding) => boolean

/** Contents that were read and given back, by their requests: a cache within another one must not read again. */
const known = new WeakMap<IncomingMessage, Buffer>()

/** The content of a request if a cache has read it before and given it back. */
export function knownContent(request: IncomingMessage): RequestContent | undefined {
  const bytes = known.get(request)
  return bytes === undefined ? undefined : { kind: 'whole', bytes }
}

/**
 * Reads the content of a request of `node:http` or `node:http2`, and gives it back, so that whatever reads the request
 * next gets it as it came: `data`, `end`, trailers, and all.
 *
 * What the connection delivers passes the request's `push`. Until all of it has come, `push` is shadowed and the parts
 * are kept aside; then they are pushed in their order. The stream itself never knows: for its readers the content came
 * a moment later. (To read the stream and to `unshift` would end an empty one before its handler could listen.)
 *
 * @param request nothing has read it yet.
 */
export function holdContent(
  request: IncomingMessage,
  response: ServerResponse,
  maxBytes: number,
): Promise<RequestContent> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return Promise.resolve(TOO_LARGE)
  if (request.destroyed || request.aborted) return Promise.resolve({ kind: 'gone' })
  // What its handler leaves unread blocks the connection; Node itself discards only requests that were never read.
  sentBy(request, response).once('finish', () => {
    if (request.readableFlowing === null && !request.readableEnded) request.resume()
  })
  const arrived = takeBuffered(request)
  if (hasArrived(request)) {
    if (arrived === undefined) return Promise.resolve(NO_CONTENT)
    request.unshift(arrived)
    return Promise.resolve(arrived.length > maxBytes ? TOO_LARGE : remember(request, arrived))
  }
  return new Promise((resolve) => {
    const own = Object.getOwnPropertyDescriptor(request, 'push')
    const push = Reflect.get(request, 'push') as Push
    const parts: Buffer[] = arrived === undefined ? [] : [arrived]
    let size = arrived?.length ?? 0

    /** Gives back what has come; returns whether the request takes more. */
    const settle = (content: RequestContent): boolean => {
      request.off('close', leave)
      if (own === undefined) Reflect.deleteProperty(request, 'push')
      else Object.defineProperty(request, 'push', own)
      let takesMore = true
      for (const part of parts) takesMore = push.call(request, part)
      resolve(content)
      return takesMore
    }
    const leave = (): void => void settle({ kind: 'gone' })
    const hold: Push = (chunk, encoding) => {
      if (chunk === null) {
        settle(isBrokenOff(request) ? { kind: 'gone' } : remember(request, Buffer.concat(parts, size)))
        return push.call(request, null)
      }
      const part = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : (chunk as Buffer)
      parts.push(part)
      size += part.length
      return size > maxBytes ? settle(TOO_LARGE) : true
    }
    Object.defineProperty(request, 'push', { configurable: true, writable: true, value: hold })
    request.once('close', leave)
    if (size > maxBytes) settle(TOO_LARGE)
    // HTTP/2 delivers nothing before the first read, and HTTP/1.1 may have paused.
    else request.read(0)
  })
}

/** What emits `finish` when the response was sent; a response of HTTP/2 does so only when its stream has closed. */
function sentBy(request: IncomingMessage, response: ServerResponse): EventEmitter {
  return (request as { stream?: EventEmitter }).stream ?? response
}

/** Whether the client has sent all of the content already. */
function hasArrived(request: IncomingMessage): boolean {
  const { stream } = request as { stream?: { readableEnded: boolean } }
  return stream === undefined ? request.complete : stream.readableEnded
}

/**
 * Whether content that has ended is not whole: a stream of HTTP/2 ends its request when it breaks off, too. What stands
 * for a request of `node:http`, as `light-my-request` does, may know nothing of it.
 */
function isBrokenOff(request: IncomingMessage): boolean {
  const { stream } = request as { stream?: { readableEnded: boolean } }
  return (
    request.aborted ||
    (stream === undefined ? (request.complete as boolean | undefined) === false : !stream.readableEnded)
  )
}

/** What has come by now. Exactly as much is read as there is, since to read beyond it would end the stream. */
function takeBuffered(request: IncomingMessage): Buffer | undefined {
  const { readableLength } = request
  if (readableLength === 0) return undefined
  const bytes = request.read(readableLength) as Buffer
  // It is given back: `readableDidRead` must not tell its handler, or the `Request` that is made of it, otherwise.
  const { _readableState: state } = request as { _readableState?: { dataEmitted?: boolean } }
  if (state?.dataEmitted === true) state.dataEmitted = false
  return bytes
}

function remember(request: IncomingMessage, bytes: Buffer): RequestContent {
  known.set(request, bytes)
  return { kind: 'whole', bytes }
}
