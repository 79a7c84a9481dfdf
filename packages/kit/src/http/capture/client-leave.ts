import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { unrefTimer } from 'memcache-ts-protocol'

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

/** The transport of a response: the socket of HTTP/1.1, or the stream of HTTP/2. */
interface Connection {
  readonly socket: Pick<Readable, 'readableEnded'> | undefined
  readonly stream:
    | { readonly aborted: boolean; readonly rstCode: number; readonly session?: { readonly destroyed: boolean } }
    | undefined
}

/** Decides about a handler whose client has disconnected. */
export interface LeaveObserver {
  /** Returns whether the handler must continue although its client has disconnected. */
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
  #isTimedOut = false
  /** Whether the response has emitted `close`, after which Node itself destroys nothing more. */
  #isClosed = false

  constructor(response: ServerResponse, observer: LeaveObserver) {
    this.#response = response
    this.#observer = observer
    response.on('pipe', this.#onPipe)
    const { req, stream } = response as { req?: IncomingMessage; stream?: Connection['stream'] }
    this.#watchDestroy({ socket: req?.socket, stream })
    // Before the response closes, Node itself destroys a request that was read completely.
    if (req !== undefined) this.#watchMethod(req, 'destroy', (error) => this.#isClosed && !isOfSystem(error))
    this.#intercept(response, (event) => {
      this.#isTimedOut ||= event === 'timeout'
      this.#isClosed ||= event === 'close'
      return event === 'close'
    })
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

  /**
   * Watches whether the handler destroys its response or its connection, as Express does after an error. Then all
   * followers are disconnected, since nothing more will be written.
   */
  #watchDestroy({ socket, stream }: Connection): void {
    this.#watchMethod(this.#response, 'destroy', () => true)
    if (stream !== undefined) {
      const isHandlers = (): boolean =>
        this.#isClosed || (!stream.aborted && stream.rstCode === 0 && stream.session?.destroyed === false)
      this.#watchMethod(stream, 'destroy', isHandlers)
      this.#watchMethod(stream, 'close', isHandlers)
    } else if (socket !== undefined) {
      // Node destroys the socket itself when the client has closed it, when reading or writing fails, and at a timeout.
      const isNodes = (error: unknown): boolean => socket.readableEnded || this.#isTimedOut || isOfSystem(error)
      this.#watchMethod(socket, 'destroy', (error) => this.#isClosed || !isNodes(error))
      // A handler may write its response to the socket itself.
      this.#watchMethod(socket, 'end', () => this.#isClosed || !isNodes(undefined))
    }
  }

  #watchMethod(target: object, name: 'destroy' | 'close' | 'end', isHandlers: (error: unknown) => boolean): void {
    const before = Reflect.get(target, name) as ((...args: unknown[]) => unknown) | undefined
    if (typeof before !== 'function') return
    this.#shadow(target, name, (...args: unknown[]) => {
      if (isHandlers(args[0])) this.release()
      return before.apply(target, args)
    })
  }

  #intercept(emitter: ServerResponse | IncomingMessage, isDisconnection: (event: string | symbol) => boolean): void {
    const before = Reflect.get(emitter, 'emit') as Emit
    const emit: Emit = (event, ...args) => before.call(emitter, event, ...args)
    const intercepting: Emit = (event, ...args) => {
      if (this.#isEnded || !isDisconnection(event) || !(this.isHidden || this.#observer.goesOn()))
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
  #shadow(target: object, name: 'emit' | 'destroy' | 'close' | 'end', method: unknown): void {
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
    this.#silence = unrefTimer(setTimeout(stop, MAX_SILENCE_MS))
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

/** Returns whether an error comes from the connection rather than from the handler. */
function isOfSystem(error: unknown): boolean {
  return typeof (error as { code?: unknown } | undefined)?.code === 'string'
}
