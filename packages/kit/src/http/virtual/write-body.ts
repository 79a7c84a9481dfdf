import type { ServerResponse } from 'node:http'

/**
 * The number of turns of the microtask queue for which the end of a body is awaited after its first part, so that a
 * complete body is written at once.
 */
const WHOLE_BODY_TURNS = 8

/** The source of a body: a stream of the Fetch standard, or an iterable of its parts. */
export type BodySource = ReadableStream<Uint8Array> | AsyncIterable<unknown>

/**
 * Writes a body to a response at the speed of its client, and ends it. If the source fails, the response is destroyed;
 * if the response is closed, the source is cancelled.
 */
export async function writeBody(response: ServerResponse, source: BodySource): Promise<void> {
  let parts: AsyncIterator<unknown> | undefined
  let isClosed = false
  const close = (): void => {
    isClosed = true
    parts?.return?.().catch(() => {})
  }
  response.once('close', close)
  try {
    // Throws if the handler has already read the body, or holds a reader of it.
    parts = partsOf(source)
    let part = await parts.next()
    if (part.done !== true) {
      const coming = parts.next()
      const next = await settledSoon(coming)
      if (next?.done === true) {
        response.end(part.value)
        return
      }
      if (!isClosed && !response.write(part.value)) await drained(response)
      part = await coming
    }
    while (part.done !== true && !isClosed) {
      if (!response.write(part.value)) await drained(response)
      part = await parts.next()
    }
    if (!isClosed) response.end()
  } catch (error) {
    response.destroy(error instanceof Error ? error : new Error(String(error)))
  } finally {
    response.off('close', close)
  }
}

/**
 * Returns the value of a promise that is resolved within some turns of the microtask queue; `undefined` if it takes
 * longer.
 */
async function settledSoon<Value>(promise: Promise<Value>): Promise<Value | undefined> {
  const settled: { value?: Value } = {}
  promise.then(
    (value) => (settled.value = value),
    () => {},
  )
  for (let turn = 0; turn < WHOLE_BODY_TURNS && settled.value === undefined; turn++) await Promise.resolve()
  return settled.value
}

function partsOf(source: BodySource): AsyncIterator<unknown> {
  if (!('getReader' in source)) return source[Symbol.asyncIterator]()
  const reader = source.getReader()
  return {
    next: () => reader.read() as Promise<IteratorResult<unknown>>,
    async return() {
      await reader.cancel()
      return { done: true, value: undefined }
    },
  }
}

/** Resolves when a response can take more, or is closed. */
function drained(response: ServerResponse): Promise<void> {
  if (response.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const settle = (): void => {
      response.off('drain', settle)
      response.off('close', settle)
      resolve()
    }
    response.on('drain', settle)
    response.on('close', settle)
  })
}
