import { ServerResponse } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AnyResponse, ResponseOutput } from './deferred-response.ts'

type WriteCallback = (error?: Error | null) => void

/** A queued write of an `OutgoingMessage`; Node queues writes until it is the response's turn on the connection. */
interface QueuedWrite {
  data: string | Uint8Array
  encoding: string | null | undefined
  callback: WriteCallback | null | undefined
}

/** The undocumented parts of `OutgoingMessage` that are used here; the same in Node 20 to 26. */
interface Internals extends Omit<ServerResponse, 'finished' | 'socket'> {
  socket: ServerResponse['socket'] & { _httpMessage?: unknown }
  finished: boolean
  outputData: QueuedWrite[]
  outputSize: number
  _header: string | null
  _headerSent: boolean
  _contentLength: number | null
  _hasBody: boolean
  _trailer: string
  _last: boolean
  _removedConnection: boolean
  _removedContLen: boolean
  _removedTE: boolean
  _onPendingData(bytes: number): void
  _writeRaw(
    data: string | Uint8Array,
    encoding?: string | WriteCallback | null,
    callback?: WriteCallback | null,
    size?: number,
  ): boolean
  _flush(): void
}

/** The fields that record how far a response was written; `restart` resets them. */
const PROGRESS_FIELDS = [
  '_contentLength',
  '_hasBody',
  '_header',
  '_headerSent',
  '_last',
  '_removedConnection',
  '_removedContLen',
  '_removedTE',
  '_trailer',
  'chunkedEncoding',
  'finished',
] as const satisfies readonly (keyof Internals)[]

/** The fields with symbols that record this; which of them exist depends on the version of Node. */
const PROGRESS_SYMBOLS = new Set([
  'corked',
  'errored',
  'kBytesWritten',
  'kChunkedBuffer',
  'kChunkedLength',
  'kCorked',
  'kErrored',
  'kNeedDrain',
])

/**
 * Deno and Bun have these fields too, but do not use them for sending: held output would never be sent in Deno, and
 * immediately in Bun. `MethodOutput` holds their responses.
 */
export const IS_NODE = process.versions['deno'] === undefined && process.versions['bun'] === undefined

/** Returns whether a response is one of `node:http` that can be held. */
export function isHttp1(response: AnyResponse): response is ServerResponse {
  if (!IS_NODE) return false
  const { _writeRaw, _flush, outputData } = response as unknown as Partial<Internals>
  return typeof _writeRaw === 'function' && typeof _flush === 'function' && Array.isArray(outputData)
}

/**
 * The output of a response of `node:http`. Everything that it sends passes its `_writeRaw`, and output that must wait
 * for an earlier response of the connection stays in its `outputData` until `_flush`. Both methods are shadowed while
 * the output is held, so that its bytes stay in `outputData` too: the socket still belongs to the response, so later
 * responses wait, and Node manages the response's state.
 */
export class Http1Output implements ResponseOutput {
  readonly #response: Internals
  readonly #writeRaw: Internals['_writeRaw']
  readonly #flush: Internals['_flush']
  #isHolding = false
  isHeadSent = false

  constructor(response: ServerResponse) {
    this.#response = response as unknown as Internals
    // oxlint-disable-next-line typescript/unbound-method -- they are restored later
    const { _writeRaw, _flush } = this.#response
    this.#writeRaw = _writeRaw
    this.#flush = _flush
  }

  hold(): void {
    const response = this.#response
    // Without a socket, the head is only queued and has not been sent.
    this.isHeadSent ||= response._headerSent && response.socket !== null
    this.#isHolding = true
    response._writeRaw = queueWrite
    response._flush = doNothing
  }

  release(): void {
    if (!this.#isHolding) return
    this.#letGo()
    const response = this.#response
    // If an earlier response is still being sent, Node flushes this one later.
    if (response.socket?._httpMessage === response) response._flush()
  }

  drop(onEnded: () => void): void {
    const response = this.#response
    const held = response.outputData
    this.#forget()
    // While output is queued, Node does not finish the response.
    response.outputData.push({ data: ' ', encoding: 'latin1', callback: null })
    response.outputSize = 1
    response._onPendingData(1)
    response._writeRaw = function (_data, encoding, callback) {
      process.nextTick(() => {
        // After the end, this callback belongs to the end of the response, which the client has not received.
        if (response.finished) return onEnded()
        const written = typeof encoding === 'function' ? encoding : callback
        written?.()
      })
      return true
    }
    for (const { callback } of held) if (callback) process.nextTick(callback)
    response.emit('drain')
  }

  discard(): void {
    this.#forget()
    this.#letGo()
    restart(this.#response)
  }

  withdraw(name: string, value: string): void {
    const response = this.#response
    const line = `${name}: ${value}\r\n`
    const head = response._header
    if (this.isHeadSent || head === null || !head.includes(line)) return
    const without = head.replace(line, () => '')
    for (const write of response.outputData) {
      if (typeof write.data !== 'string' || !write.data.startsWith(head)) continue
      write.data = without + write.data.slice(head.length)
      response.outputSize -= line.length
      response._onPendingData(-line.length)
    }
    response._header = without
  }

  abort(): void {
    this.#letGo()
    const { socket } = this.#response
    if (socket === null) this.#response.destroy()
    else socket.destroy()
  }

  #forget(): void {
    const response = this.#response
    response._onPendingData(-response.outputSize)
    response.outputData = []
    response.outputSize = 0
  }

  #letGo(): void {
    this.#isHolding = false
    // Restored and not deleted, since deleting properties would make the response slow.
    this.#response._writeRaw = this.#writeRaw
    this.#response._flush = this.#flush
  }
}

/** Replaces `_writeRaw` of a held response. */
// oxlint-disable-next-line max-params -- the method of Node, and its `this`
function queueWrite(
  this: Internals,
  data: string | Uint8Array,
  encoding?: string | WriteCallback | null,
  callback?: WriteCallback | null,
): boolean {
  if (this.socket?.destroyed) return false
  const queued: QueuedWrite =
    typeof encoding === 'function' ? { data, encoding: null, callback: encoding } : { data, encoding, callback }
  this.outputData.push(queued)
  this.outputSize += data.length
  this._onPendingData(data.length)
  return this.outputSize < this.writableHighWaterMark
}

function doNothing(): void {}

/** Resets a response as if nothing had been written to it; its fields stay. */
function restart(response: Internals): void {
  const fresh = new ServerResponse((response as unknown as { req: IncomingMessage }).req) as unknown as Internals
  for (const field of PROGRESS_FIELDS) (response as unknown as Record<string, unknown>)[field] = fresh[field]
  for (const symbol of Object.getOwnPropertySymbols(fresh)) {
    if (!PROGRESS_SYMBOLS.has(symbol.description ?? '')) continue
    ;(response as unknown as Record<symbol, unknown>)[symbol] = (fresh as unknown as Record<symbol, unknown>)[symbol]
  }
  response.statusMessage = undefined as unknown as string
}
