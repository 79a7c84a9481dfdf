import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'

/**
 * How long a handler whose client has left may write nothing before its followers are broken off: it may have stopped
 * without a word.
 */
const MAX_SILENCE_MS = 10_000

type Emit = (event: string | symbol, ...args: unknown[]) => boolean
interface Held {
  readonly emit: Emit
  readonly event: string | symbol
  readonly args: readonly unknown[]
}

/** Decides about a handler whose client has left. */
export interface LeaveObserver {
  /** Whether the handler is to go on although its client has left. */
  goesOn(): boolean
  /** The handler stopped, or has written nothing for too long. */
  onStopped(): void
}

/**
 * Hides from a handler that its client has left while other clients wait for what the handler writes: the events that
 * tell the handler so are held back until `release`. Handlers stop their work at these events, and `pipe` at `close`.
 */
export class ClientLeave {
  readonly #response: ServerResponse
  readonly #observer: LeaveObserver
  readonly #held: Held[] = []
  readonly #sources = new Set<Readable>()
  readonly #restore: (() => void)[] = []
  readonly #onPipe = (source: Readable): void => void this.#sources.add(source)
  #silence: NodeJS.Timeout | undefined
  #isEnded = false

  constructor(response: ServerResponse, observer: LeaveObserver) {
    this.#response = response
    this.#observer = observer
    response.on('pipe', this.#onPipe)
    this.#watchDestroy()
    this.#intercept(response, (event) => event === 'close')
    const { req } = response as { req?: IncomingMessage }
    if (req !== undefined) {
      // A request also closes when it has been read to its end, which says nothing about the client.
      this.#intercept(req, (event) => event === 'aborted' || ((event === 'close' || event === 'error') && req.aborted))
    }
  }

  /** Whether the client has left and the handler does not know. */
  get isHidden(): boolean {
    return this.#held.length > 0
  }

  /** The handler has written something. */
  touch(): void {
    this.#silence?.refresh()
  }

  /** Lets the held events through, and later ones. */
  release(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    clearTimeout(this.#silence)
    this.#response.off('pipe', this.#onPipe)
    for (const restore of this.#restore.splice(0)) restore()
    for (const { emit, event, args } of this.#held.splice(0)) emit(event, ...args)
  }

  /** A response that its handler destroys is broken off for everybody. */
  #watchDestroy(): void {
    const response = this.#response
    const before = Reflect.get(response, 'destroy')
    const destroying: ServerResponse['destroy'] = (error) => {
      this.release()
      return before.call(response, error)
    }
    this.#shadow(response, 'destroy', destroying)
  }

  #intercept(emitter: ServerResponse | IncomingMessage, tellsOfLeave: (event: string | symbol) => boolean): void {
    const before = Reflect.get(emitter, 'emit') as Emit
    const emit: Emit = (event, ...args) => before.call(emitter, event, ...args)
    const intercepting: Emit = (event, ...args) => {
      if (this.#isEnded || !tellsOfLeave(event) || !(this.isHidden || this.#observer.goesOn()))
        return emit(event, ...args)
      const isFirst = !this.isHidden
      this.#held.push({ emit, event, args })
      if (isFirst) this.#hide()
      if (emitter === this.#response) this.#showOpen()
      return true
    }
    this.#shadow(emitter, 'emit', intercepting)
  }

  /** Puts a method in front of another one until `release`. */
  #shadow(target: ServerResponse | IncomingMessage, name: 'emit' | 'destroy', method: unknown): void {
    const own = Object.getOwnPropertyDescriptor(target, name)
    Object.defineProperty(target, name, { configurable: true, writable: true, value: method })
    this.#restore.push(() => {
      // A method that others have put in front of this one since calls on to it, which does nothing any more.
      if (Reflect.get(target, name) !== method) return
      if (own === undefined) Reflect.deleteProperty(target, name)
      else Object.defineProperty(target, name, own)
    })
  }

  #hide(): void {
    const stop = (): void => {
      if (!this.#isEnded) this.#observer.onStopped()
    }
    this.#silence = setTimeout(stop, MAX_SILENCE_MS).unref()
    // A source that is destroyed, as `send` destroys its file when the socket closes, never ends the response.
    for (const source of this.#sources) source.once('close', stop)
    // A handler that waits for a client to read waits for nobody.
    process.nextTick(() => {
      if (!this.#isEnded) this.#response.emit('drain')
    })
  }

  #showOpen(): void {
    const response = this.#response
    if (Object.getOwnPropertyDescriptor(response, 'destroyed')?.writable !== true) return
    response.destroyed = false
    this.#restore.push(() => (response.destroyed = true))
  }
}
