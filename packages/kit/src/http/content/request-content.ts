import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'

/** The content of a request, as far as it is known before its handler runs. */
export type RequestContent =
  /** The bytes as they were received. The handler can still read them. */
  | { readonly kind: 'whole'; readonly bytes: Uint8Array }
  /**
   * A body parser before the cache has read the bytes. These bytes encode the parsed value, and differ if the value
   * differs. The request cannot be repeated.
   */
  | { readonly kind: 'parsed'; readonly bytes: Uint8Array }
  /** The content is too large, or it is not known what the handler will see. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** The client disconnected before it had sent the whole content. */
  | { readonly kind: 'gone' }

/** Content that can be part of a key. */
export type KnownContent = Extract<RequestContent, { kind: 'whole' | 'parsed' }>

/** The maximum size of content in a key, in bytes; a request with larger content goes to the handler. */
export const MAX_CONTENT_BYTES = 1_048_576

export const NO_CONTENT: KnownContent = { kind: 'whole', bytes: Buffer.alloc(0) }
export const TOO_LARGE: RequestContent = { kind: 'unknown', reason: 'content-too-large' }

type Push = (chunk: unknown, encoding?: BufferEncoding) => boolean

/** The contents that were read, by request, since a cache within another one must not read them again. */
const known = new WeakMap<IncomingMessage, Buffer>()

/** Returns the content of a request if a cache has already read it. */
export function knownContent(request: IncomingMessage): RequestContent | undefined {
  const bytes = known.get(request)
  return bytes === undefined ? undefined : { kind: 'whole', bytes }
}

/**
 * Reads the content of a request of `node:http` or `node:http2`, and puts it back, so that the next reader gets
 * everything: `data`, `end` and trailers.
 *
 * The connection delivers the content by calling the request's `push`. Until the content is complete, `push` is
 * shadowed and the parts are held; then they are pushed in their order. For its readers, the content arrives a little
 * later. (After reading the stream and calling `unshift`, an empty stream would already have ended when the handler
 * begins to listen.)
 *
 * @param request a request that no code has read yet.
 */
export function holdContent(
  request: IncomingMessage,
  response: ServerResponse,
  maxBytes: number,
): Promise<RequestContent> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return Promise.resolve(TOO_LARGE)
  if (request.destroyed || request.aborted) return Promise.resolve({ kind: 'gone' })
  // Content that the handler does not read blocks the connection; Node itself discards only requests that were never
  // read.
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

    /** Pushes the held parts; returns whether the request takes more. */
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

/**
 * Returns the emitter of `finish` when the response was sent; an HTTP/2 response emits it only when its stream has
 * closed.
 */
function sentBy(request: IncomingMessage, response: ServerResponse): EventEmitter {
  return (request as { stream?: EventEmitter }).stream ?? response
}

/** Returns whether the client has already sent the whole content. */
function hasArrived(request: IncomingMessage): boolean {
  const { stream } = request as { stream?: { readableEnded: boolean } }
  return stream === undefined ? request.complete : stream.readableEnded
}

/**
 * Returns whether content that has ended is incomplete: an HTTP/2 stream also ends its request when it is aborted.
 * Substitutes for a request of `node:http`, such as those of `light-my-request`, may not have these properties.
 */
function isBrokenOff(request: IncomingMessage): boolean {
  const { stream } = request as { stream?: { readableEnded: boolean } }
  return (
    request.aborted ||
    (stream === undefined ? (request.complete as boolean | undefined) === false : !stream.readableEnded)
  )
}

/** Reads the buffered content. Exactly the buffered length is read, since reading more would end the stream. */
function takeBuffered(request: IncomingMessage): Buffer | undefined {
  const { readableLength } = request
  if (readableLength === 0) return undefined
  const bytes = request.read(readableLength) as Buffer
  // The content is put back, so `readableDidRead` must be false for the handler, and for a `Request` that is created
  // from this one.
  const { _readableState: state } = request as { _readableState?: { dataEmitted?: boolean } }
  if (state?.dataEmitted === true) state.dataEmitted = false
  return bytes
}

function remember(request: IncomingMessage, bytes: Buffer): RequestContent {
  known.set(request, bytes)
  return { kind: 'whole', bytes }
}
