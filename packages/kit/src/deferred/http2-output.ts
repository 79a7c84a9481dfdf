import type { Http2ServerResponse, ServerHttp2Stream } from 'node:http2'
import type { AnyResponse, ResponseOutput } from './deferred-response.ts'

/** The number of held bytes at which the writer has to wait. */
const HIGH_WATER_MARK = 65_536

type Step = { readonly method: 'respond' | 'write' | 'end'; readonly args: unknown[] }
type AnyStream = Omit<ServerHttp2Stream, Step['method']> & Record<Step['method'], (...args: unknown[]) => unknown>

/** Returns whether a response is one of the compatibility API of `node:http2`, on an open stream. */
export function isHttp2(response: AnyResponse): response is Http2ServerResponse {
  const stream = (response as Partial<Http2ServerResponse>).stream as Partial<ServerHttp2Stream> | undefined
  return (
    typeof stream?.respond === 'function' &&
    typeof (response as Partial<Http2ServerResponse>).createPushResponse === 'function'
  )
}

/**
 * The output of a response of `node:http2`. While it is held, the calls of the response on its stream are recorded;
 * they are repeated when it is released. Meanwhile the stream reports that its head was sent, which the response uses
 * for its own state.
 */
export class Http2Output implements ResponseOutput {
  readonly #response: Http2ServerResponse
  readonly #stream: AnyStream
  #steps: Step[] = []
  #heldBytes = 0
  #isHolding = false
  #wantsDrain = false
  #onEnded: (() => void) | undefined
  isHeadSent = false

  constructor(response: Http2ServerResponse) {
    this.#response = response
    this.#stream = response.stream as unknown as AnyStream
  }

  hold(): void {
    const stream = this.#stream
    this.isHeadSent ||= stream.headersSent
    this.#isHolding = true
    stream.respond = (...args) => {
      this.#steps.push({ method: 'respond', args })
      Object.defineProperty(stream, 'headersSent', { value: true, configurable: true })
    }
    stream.write = (...args) => this.#write(args)
    stream.end = (...args) => {
      this.#steps.push({ method: 'end', args })
      const onEnded = this.#onEnded
      if (onEnded !== undefined) process.nextTick(onEnded)
      return stream
    }
  }

  release(): void {
    if (!this.#isHolding) return
    this.#letGo()
    const stream = this.#stream
    const steps = this.#steps
    this.#steps = []
    this.#heldBytes = 0
    if (stream.destroyed || stream.closed) return
    for (const { method, args } of steps) stream[method](...args)
    if (!this.#wantsDrain) return
    this.#wantsDrain = false
    if (!stream.writableNeedDrain) stream.emit('drain')
  }

  drop(onEnded: () => void): void {
    this.#onEnded = onEnded
    for (const { method, args } of this.#steps) if (method === 'write') callBack(args)
    this.#steps = []
    this.#stream.write = (...args) => {
      callBack(args)
      return true
    }
    this.#stream.emit('drain')
  }

  discard(): void {
    this.#letGo()
    this.#steps = []
    const response = this.#response as unknown as Record<symbol, { ending: boolean } | undefined>
    for (const symbol of Object.getOwnPropertySymbols(response)) {
      if (symbol.description === 'state') response[symbol]!.ending = false
    }
  }

  withdraw(name: string, value: string): void {
    for (const { method, args } of this.#steps) {
      if (method !== 'respond') continue
      const head = args[0] as Record<string, unknown>
      const values = head[name.toLowerCase()]
      if (!Array.isArray(values)) {
        if (values === value) Reflect.deleteProperty(head, name.toLowerCase())
      } else head[name.toLowerCase()] = values.filter((each) => each !== value)
    }
  }

  abort(): void {
    this.#letGo()
    this.#stream.destroy()
  }

  #write(args: unknown[]): boolean {
    this.#steps.push({ method: 'write', args })
    this.#heldBytes += (args[0] as string | Uint8Array).length
    const hasRoom = this.#heldBytes < HIGH_WATER_MARK
    this.#wantsDrain ||= !hasRoom
    return hasRoom
  }

  #letGo(): void {
    this.#isHolding = false
    for (const name of ['respond', 'write', 'end', 'headersSent']) Reflect.deleteProperty(this.#stream, name)
  }
}

/** Calls the callback of a write as if the write was done. */
function callBack(args: readonly unknown[]): void {
  const callback = args.at(-1)
  if (typeof callback === 'function') process.nextTick(callback)
}
