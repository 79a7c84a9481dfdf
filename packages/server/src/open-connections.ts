import { Socket } from 'node:net'
import type { Server } from 'node:net'
import type { Duplex } from 'node:stream'
import type { CommandContext } from './commands/command-context.ts'
import { peerText } from './connection-ends.ts'
import type { ConnectionEnds } from './connection-ends.ts'
import type { CloseReason, ConnectionOwner } from './session.ts'
import { Connection } from './connection.ts'
import type { Listener } from './listener.ts'

/** The undocumented parts of a socket that are used here. */
interface SocketInternals {
  _handle: { useUserBuffer?: unknown } | null
  _server: Server | null
}

/**
 * Reads an accepted socket into one buffer that all connections share, instead of the 64 kB that Node allocates for
 * each read; returns `undefined`, and leaves the socket unchanged, if the sockets of this version of Node are
 * different.
 *
 * `onread` is documented for sockets that connect. An accepted socket gets it only if its handle is passed to a new
 * socket. The handle is private, so it is used only here, and checked first; if it is not as expected, the socket is
 * read in the documented way. The socket must not have begun to read (`pauseOnConnect`).
 */
function readIntoSharedBuffer(
  socket: Socket,
  buffer: Buffer,
  receive: (length: number) => boolean,
): Socket | undefined {
  const internals = socket as unknown as SocketInternals
  const handle = internals._handle
  if (typeof handle?.useUserBuffer !== 'function' || internals._server === undefined) return undefined
  const options = { handle, onread: { buffer, callback: (length: number) => receive(length) } }
  const reading = new Socket(options as ConstructorParameters<typeof Socket>[0])
  // The server counts its open connections by this property, to know when it has closed.
  ;(reading as unknown as SocketInternals)._server = internals._server
  internals._server = null
  internals._handle = null
  return reading
}

const RECEIVE_BUFFER_BYTES = 64 * 1024
const TOO_MANY_CONNECTIONS = 'ERROR Too many open connections\r\n'
/** How long `endAll` waits for a client that does not read its responses. */
const END_TIMEOUT_MS = 1000
/** The first number of a connection: 0 to 2 are standard input, output and error. */
const FIRST_ID = 3

/** The limit of connections, and the events about them. */
export interface ConnectionEvents {
  readonly maxConnections: number
  verbosity(): number
  emit(event: 'connect' | 'disconnect' | 'log', text: string): void
}

/** The open connections of a server: it admits, counts, serves and ends them, and emits events about them. */
export class OpenConnections {
  readonly #context: CommandContext
  readonly #events: ConnectionEvents
  readonly #connections = new Set<Connection>()
  readonly #receiveBuffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES)
  #nextId = FIRST_ID

  constructor(context: CommandContext, events: ConnectionEvents) {
    this.#context = context
    this.#events = events
  }

  [Symbol.iterator](): IterableIterator<Connection> {
    return this.#connections.values()
  }

  /** Returns the next number for a connection or a listener. */
  nextId(): number {
    return this.#nextId++
  }

  /** Counts an accepted socket; refuses it and returns `undefined` if there are too many. */
  admit(socket: Socket, { address }: Listener): ConnectionEnds | undefined {
    const { counters } = this.#context
    if (counters.currConnections >= this.#events.maxConnections) {
      counters.rejectedConnections++
      socket.on('error', () => {})
      socket.end(TOO_MANY_CONNECTIONS, () => socket.destroy())
      return undefined
    }
    const { remoteAddress, remotePort } = socket
    const peer = peerText(remoteAddress, remotePort)
    const ends = { id: this.nextId(), peer, listenAddress: address, remoteAddress, remotePort }
    this.#opened(ends)
    return ends
  }

  /** Serves an admitted socket that is not encrypted and has not been read. */
  serveSocket(socket: Socket, owner: ConnectionOwner, ends: ConnectionEnds): void {
    const buffer = this.#receiveBuffer
    const reading = readIntoSharedBuffer(socket, buffer, (length) => connection.receive(buffer, 0, length))
    if (reading === undefined) {
      this.serve(new Connection(socket, owner, { kind: 'socket', ends }))
      socket.resume()
      return
    }
    const connection: Connection = new Connection(reading, owner, { kind: 'socket', ends })
    this.#adopt(connection)
  }

  /** Serves a stream within this process. */
  handle(stream: Duplex, owner: ConnectionOwner): void {
    const ends = {
      id: this.nextId(),
      peer: 'stream',
      listenAddress: 'stream',
      remoteAddress: undefined,
      remotePort: undefined,
    }
    this.#opened(ends)
    this.serve(new Connection(stream, owner, { kind: 'memory', ends }))
  }

  /** Serves a counted connection, which reads its stream in the documented way. */
  serve(connection: Connection): void {
    connection.readStream()
    this.#adopt(connection)
  }

  /** Counts a closed connection. */
  gone(ends: ConnectionEnds, reason: CloseReason): void {
    const { counters, events } = this.#context
    const { id, peer } = ends
    counters.currConnections--
    if (events.streams !== 0) events.closed(ends, reason)
    if (this.#events.verbosity() > 1) this.#events.emit('log', `<${id} connection closed.`)
    this.#events.emit('disconnect', peer)
  }

  /** Ends the connections whose clients have sent nothing for so many seconds. */
  kickIdle(seconds: number): void {
    const { counters, store } = this.#context
    for (const connection of this.#connections) {
      if (store.now - connection.lastCommandAt <= seconds) continue
      counters.idleKicks++
      connection.kick()
    }
  }

  /** Ends all connections; resolves once they are gone. */
  async endAll(): Promise<void> {
    await Promise.all([...this.#connections].map(({ stream }) => endOf(stream)))
  }

  #adopt(connection: Connection): void {
    const { stream, ends } = connection
    this.#connections.add(connection)
    // A disconnection is not reported as an error; `close` follows.
    stream.on('error', () => {})
    // Requests that arrived before the end may still wait for their turn.
    stream.allowHalfOpen = true
    stream.on('end', () => connection.ended())
    stream.once('close', () => {
      connection.dispose()
      this.#connections.delete(connection)
      this.gone(ends, connection.closeReason)
    })
  }

  #opened(ends: ConnectionEnds): void {
    const { counters, events } = this.#context
    const { id, peer } = ends
    counters.currConnections++
    counters.totalConnections++
    if (events.streams !== 0) events.connected(ends)
    if (this.#events.verbosity() > 1) this.#events.emit('log', `<${id} new client connection from ${peer}`)
    this.#events.emit('connect', peer)
  }
}

/**
 * Ends the stream of a connection after the written data was sent, and destroys it if the client does not read. It
 * waits for the `close` event, which may still follow on a stream that is destroyed already. The wait is bounded, since
 * some streams have no such event.
 */
async function endOf(stream: Duplex): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  // `once` of `node:events` would reject if the client disconnects.
  const closed = new Promise<void>((resolve) => {
    stream.once('close', resolve)
    timer = setTimeout(() => {
      stream.destroy()
      timer = setTimeout(resolve, END_TIMEOUT_MS)
    }, END_TIMEOUT_MS)
  })
  stream.end(() => stream.destroy())
  await closed
  clearTimeout(timer)
}
