import { NO_CONTENT, TOO_LARGE } from './request-content.ts'
import type { RequestContent } from './request-content.ts'

/**
 * The content of a `Request` of the Fetch standard, which can be read only once, but is needed for the key and by the
 * handler.
 */
export class FetchContent {
  readonly #request: Request
  /** The bytes that were read, for each handler run. */
  #bytes: Uint8Array<ArrayBuffer> | undefined
  /** The part that was read, and the rest, of content that is too large. */
  #rest: ReadableStream<Uint8Array> | undefined

  constructor(request: Request) {
    this.#request = request
  }

  /** Reads the content; rejects if its source fails. */
  // A property, so that it can be passed as a function.
  readonly read = async (maxBytes: number): Promise<RequestContent> => {
    const { body, bodyUsed } = this.#request
    if (bodyUsed) return { kind: 'unknown', reason: 'content-read' }
    if (body === null) return NO_CONTENT
    const reader = body.getReader()
    const parts: Uint8Array[] = []
    let size = 0
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      parts.push(value)
      size += value.length
      if (size > maxBytes) {
        this.#rest = restOf(parts, reader)
        return TOO_LARGE
      }
    }
    this.#bytes = concat(parts, size)
    return { kind: 'whole', bytes: this.#bytes }
  }

  /** Returns the options with which a handler's `Request` is created, so that it has the content. */
  init(): RequestInit {
    const body = this.#bytes ?? this.#rest ?? this.#request.body
    return body === null ? {} : { body, duplex: 'half' }
  }
}

function restOf(
  parts: readonly Uint8Array[],
  reader: ReadableStreamDefaultReader<Uint8Array>,
): ReadableStream<Uint8Array> {
  const read = [...parts]
  return new ReadableStream({
    async pull(controller) {
      const part = read.shift()
      if (part !== undefined) return controller.enqueue(part)
      const { done, value } = await reader.read()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    cancel: (reason) => reader.cancel(reason),
  })
}

function concat(parts: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
