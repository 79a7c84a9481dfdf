import { NO_CONTENT, TOO_LARGE } from './request-content.ts'
import type { RequestContent } from './request-content.ts'

/** The content of a `Request` of the Fetch standard, which can be read only once: for the key, and then for the handler. */
export class FetchContent {
  readonly #request: Request
  /** What was read, for each handler that is shown the request. */
  #bytes: Uint8Array<ArrayBuffer> | undefined
  /** What was read and is still to come of content that is too large. */
  #rest: ReadableStream<Uint8Array> | undefined

  constructor(request: Request) {
    this.#request = request
  }

  /** Reads the content; rejects if its source fails. */
  // A property, so that it can be handed on by itself.
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

  /** What a request that is shown to a handler is made with, so that it has the content. */
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
