import type { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import { addListener } from '../extra-listener.ts'
import { isHeadSent } from '../deferred/deferred-response.ts'
import type { AnyResponse } from '../deferred/deferred-response.ts'

/** The client of a request, to which a cookie can be sent until it disconnects. */
export interface SessionClient {
  /** Whether the client has disconnected before the head of the response was sent. */
  readonly hasLeft: boolean
  /** Calls back if the client disconnects before the head of the response is sent. */
  onceLeft(listener: () => void): void
}

/** Returns the client of a request, by its response in Node or its signal in the Fetch API. */
export function clientOf(
  connection: AnyResponse | AbortSignal | undefined,
  isCommitted: () => boolean,
): SessionClient | undefined {
  if (connection === undefined) return undefined
  return connection instanceof AbortSignal ? new FetchClient(connection, isCommitted) : new NodeClient(connection)
}

/** The client of a request in `node:http` and `node:http2`. */
class NodeClient implements SessionClient {
  readonly #response: AnyResponse

  constructor(response: AnyResponse) {
    this.#response = response
  }

  get hasLeft(): boolean {
    return isClosed(this.#response) && !isHeadSent(this.#response)
  }

  onceLeft(listener: () => void): void {
    const response = this.#response
    onceClosed(response, () => {
      if (!isHeadSent(response)) listener()
    })
  }
}

/** The client of a request in the Fetch API; the request's signal reports that it has disconnected. */
class FetchClient implements SessionClient {
  readonly #signal: AbortSignal
  readonly #isCommitted: () => boolean

  /**
   * @param isCommitted whether the response has its cookie; some platforms abort the signal at the end of each
   *   response.
   */
  constructor(signal: AbortSignal, isCommitted: () => boolean) {
    this.#signal = signal
    this.#isCommitted = isCommitted
  }

  get hasLeft(): boolean {
    return this.#signal.aborted && !this.#isCommitted()
  }

  onceLeft(listener: () => void): void {
    const notify = (): void => {
      if (!this.#isCommitted()) listener()
    }
    this.#signal.addEventListener('abort', notify, { once: true })
  }
}

/** Calls back once a response is closed. Node emits no event for a response that waits for its turn on the connection. */
export function onceClosed(response: AnyResponse, listener: () => void): void {
  addListener(response, 'close', listener)
  if (response.socket !== null) return
  const waiting = waitingOn(response.req.socket)
  const notify = (): void => {
    if (response.socket === null && !response.writableFinished) listener()
  }
  waiting.add(notify)
  addListener(response, 'close', () => waiting.delete(notify))
}

/** The callbacks of pipelined responses, by their connection: one listener, since a client may pipeline many requests. */
const WAITING = new WeakMap<object, Set<() => void>>()

function waitingOn(socket: Socket): Set<() => void> {
  let waiting = WAITING.get(socket)
  if (waiting === undefined) {
    const callbacks = new Set<() => void>()
    waiting = callbacks
    WAITING.set(socket, waiting)
    socket.once('close', () => {
      for (const notify of callbacks) notify()
    })
  }
  return waiting
}

function isClosed(response: AnyResponse): boolean {
  const { stream } = response as Partial<Http2ServerResponse>
  if (stream !== undefined) return stream.destroyed || stream.closed
  return response.destroyed || (response.socket ?? response.req.socket).destroyed
}
