import { EventEmitter, once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { MemcacheClosedError, MemcacheConnectionError, systemClock } from 'memcache-ts-protocol'
import { readIntoSharedBuffer } from './accepted-socket.ts'
import type { CommandContext } from './commands/command-context.ts'
import { Connection } from './connection.ts'
import type { ConnectionOwner } from './connection.ts'
import { resolveServerOptions } from './options.ts'
import type { MemcachedServerOptions, ResolvedServerOptions } from './options.ts'
import { ReplyWriter } from './reply-writer.ts'
import { ServerClock } from './server-clock.ts'
import { generalStatistics } from './stats/general.ts'
import { itemStatistics } from './stats/items.ts'
import { ServerCounters } from './stats/server-counters.ts'
import { settingStatistics } from './stats/settings.ts'
import { slabStatistics } from './stats/slabs.ts'
import type { StatisticsSource } from './stats/statistics-source.ts'
import { ItemStore } from './store/item-store.ts'

const RECEIVE_BUFFER_BYTES = 64 * 1024
const TOO_MANY_CONNECTIONS = 'ERROR Too many open connections\r\n'

/** Events of a `MemcachedServer`; it never emits `error`. */
export interface MemcachedServerEvents {
  /** A client has connected; the argument says from where. */
  connect: [peer: string]
  /** A client has gone. */
  disconnect: [peer: string]
}

/**
 * A memcached in this process: text and meta protocol over TCP, or over any stream by `handle`.
 *
 * @example
 * await using server = new MemcachedServer({ port: 0 })
 * const { port } = await server.listen()
 */
export class MemcachedServer extends EventEmitter<MemcachedServerEvents> implements AsyncDisposable {
  readonly #options: ResolvedServerOptions
  readonly #owner: ConnectionOwner & StatisticsSource
  readonly #connections = new Map<Connection, Duplex>()
  readonly #receiveBuffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES)
  #tcp: Server | undefined
  #flushAt = 0
  #verbosity: number
  #closed = false

  /** @throws MemcacheOptionError for options that cannot be. */
  constructor(options: MemcachedServerOptions = {}) {
    super()
    this.#options = resolveServerOptions(options)
    this.#verbosity = this.#options.verbosity
    const store = new ItemStore({
      memoryLimitBytes: this.#options.memoryLimitMb * 1024 * 1024,
      itemMaxBytes: this.#options.itemMaxBytes,
      evict: !this.#options.disableEvictions,
    })
    const context: CommandContext = {
      store,
      replies: new ReplyWriter(store),
      counters: new ServerCounters(),
      clock: new ServerClock(options.clock ?? systemClock),
    }
    this.#owner = this.#makeOwner(context)
  }

  /**
   * Starts listening; resolves with the address once it does.
   * @throws MemcacheConnectionError when it cannot: the port is taken, or not ours to take.
   */
  async listen(): Promise<{ host: string; port: number }> {
    if (this.#closed) throw new MemcacheClosedError('this server was closed; make a new one')
    const tcp = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => this.#accept(socket))
    this.#tcp = tcp
    const { host, port } = this.#options
    try {
      tcp.listen({ host, port, backlog: 1024 })
      await once(tcp, 'listening')
    } catch (cause) {
      this.#tcp = undefined
      const reason = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'the port is in use' : String(cause)
      throw new MemcacheConnectionError(`cannot listen on ${host}:${port}: ${reason}`, {
        server: `${host}:${port}`,
        retryable: false,
        cause,
      })
    }
    const address = tcp.address() as AddressInfo
    return { host: address.address, port: address.port }
  }

  /** Speaks memcached with whoever holds the other end of the stream. */
  handle(stream: Duplex): void {
    if (this.#closed) {
      stream.destroy()
      return
    }
    const connection = new Connection(stream, this.#owner, false)
    stream.on('data', (chunk: Buffer) => connection.receive(chunk, 0, chunk.length))
    this.#adopt(connection, stream, 'stream')
  }

  /** The general statistics, by memcached's names. */
  stats(): Record<string, string | number> {
    this.#owner.tick()
    return Object.fromEntries(generalStatistics(this.#owner))
  }

  /** Stops listening, lets replies that are under way leave, and ends all connections. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const tcp = this.#tcp
    const closed = tcp === undefined ? undefined : once(tcp, 'close')
    tcp?.close()
    const ended = [...this.#connections.values()].map((stream) => endOf(stream))
    await Promise.all(ended)
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #accept(socket: Socket): void {
    const { counters } = this.#owner.context
    if (counters.currConnections >= this.#options.maxConnections) {
      counters.rejectedConnections++
      socket.on('error', () => {})
      socket.end(TOO_MANY_CONNECTIONS, () => socket.destroy())
      return
    }
    const buffer = this.#receiveBuffer
    const reading = readIntoSharedBuffer(socket, buffer, (length) => connection.receive(buffer, 0, length))
    const stream = reading ?? socket
    const connection: Connection = new Connection(stream, this.#owner, true)
    if (reading === undefined) {
      socket.on('data', (chunk: Buffer) => connection.receive(chunk, 0, chunk.length))
      socket.resume()
    }
    this.#adopt(connection, stream, `${stream.remoteAddress ?? '?'}:${stream.remotePort ?? 0}`)
  }

  #adopt(connection: Connection, stream: Duplex, peer: string): void {
    const { counters } = this.#owner.context
    this.#connections.set(connection, stream)
    counters.currConnections++
    counters.totalConnections++
    if (this.#verbosity > 1) process.stderr.write(`<${peer} new client connection\n`)
    this.emit('connect', peer)
    // A client that breaks off is no news; 'close' follows.
    stream.on('error', () => {})
    stream.on('end', () => stream.end())
    stream.once('close', () => {
      connection.dispose()
      this.#connections.delete(connection)
      counters.currConnections--
      if (this.#verbosity > 1) process.stderr.write(`<${peer} connection closed.\n`)
      this.emit('disconnect', peer)
    })
  }

  #makeOwner(context: CommandContext): ConnectionOwner & StatisticsSource {
    const { store, clock } = context
    const options = this.#options
    const source: StatisticsSource = { context, options }
    return {
      ...source,
      tick: () => {
        const now = clock.now()
        if (now === store.now) return
        store.now = now
        if (this.#flushAt !== 0 && now >= this.#flushAt) {
          this.#flushAt = 0
          store.flush()
        }
      },
      flushAll: (delaySeconds) => {
        if (delaySeconds > 0) {
          this.#flushAt = clock.expiry(delaySeconds, store.now)
        } else {
          this.#flushAt = 0
          store.flush()
        }
      },
      setVerbosity: (level) => {
        this.#verbosity = level
      },
      statistics: (form) => {
        const lines = statisticsOf(form, source)
        return lines === undefined ? undefined : lines.map(([name, value]) => `STAT ${name} ${value}\r\n`).join('')
      },
      resetStatistics: () => context.counters.reset(),
    }
  }
}

function statisticsOf(form: string | undefined, source: StatisticsSource): [string, string | number][] | undefined {
  switch (form) {
    case undefined:
      return generalStatistics(source)
    case 'settings':
      return settingStatistics(source)
    case 'items':
      return itemStatistics(source)
    case 'slabs':
      return slabStatistics(source)
    default:
      return undefined
  }
}

/** Ends a stream once what was written has left; gives up on a client that does not take it. */
async function endOf(stream: Duplex): Promise<void> {
  if (stream.destroyed) return
  const closed = once(stream, 'close')
  stream.end(() => stream.destroy())
  // A client that reads nothing would keep us for ever.
  const patience = setTimeout(() => stream.destroy(), 1000)
  await closed
  clearTimeout(patience)
}
