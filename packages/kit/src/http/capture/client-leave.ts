import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'

/**
 * How long a handler whose client has disconnected may write nothing before its followers are disconnected, since it
 * may have stopped silently.
 */
const MAX_SILENCE_MS = 10_000

type Emit = (event: string | symbol, ...args: unknown[]) => boolean
interface Held {
  readonly emit: Emit
  readonly event: string | symbol
  readonly args: readonly unknown[]
}

/** Decides about a handler whose client has disconnected. */
export interface LeaveObserver {
  /** Whether the handler must continue although its client has disconnected. */
  goesOn(): boolean
  /** Called when the handler stopped, or has written nothing for too long. */
  onStopped(): void
}

/**
 * Hides from a handler that its client has disconnected while other clients wait for its response: the events of the
 * disconnection are held back until `release`, since handlers stop their work at these events, and `pipe` stops at
 * `close`.
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
      // A request also closes when it has been read completely, which says nothing about the client.
      this.#intercept(req, (event) => event === 'aborted' || ((event === 'close' || event === 'error') && req.aborted))
    }
  }

  /** Whether the client has disconnected and the handler has not noticed. */
  get isHidden(): boolean {
    return this.#held.length > 0
  }

  /** Records that the handler has written something. */
  touch(): void {
    this.#silence?.refresh()
  }

  /** Emits the held events, and lets later events pass. */
  release(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    clearTimeout(this.#silence)
    this.#response.off('pipe', this.#onPipe)
    for (const restore of this.#restore.splice(0)) restore()
    for (const { emit, event, args } of this.#held.splice(0)) emit(event, ...args)
  }

  /** If the handler destroys its response, all followers are disconnected. */
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

  /** Shadows a method until `release`. */
  #shadow(target: ServerResponse | IncomingMessage, name: 'emit' | 'destroy', method: unknown): void {
    const own = Object.getOwnPropertyDescriptor(target, name)
    Object.defineProperty(target, name, { configurable: true, writable: true, value: method })
    this.#restore.push(() => {
      // If other code has wrapped this method meanwhile, it stays in the chain and only passes calls on.
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
    // If a source is destroyed, as `send` destroys its file when the socket closes, it never ends the response.
    for (const source of this.#sources) source.once('close', stop)
    // A handler that waits for the disconnected client to read would wait forever.
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
