import { EventEmitter, once } from 'node:events'
import type { Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { MemcacheClosedError, MemcacheOptionError, systemClock, unrefTimer } from 'memcache-ts-protocol'
import { Credentials, RefusalLog } from './auth/credentials.ts'
import { PasswordDatabase } from './auth/password-database.ts'
import type { CommandContext } from './commands/command-context.ts'
import { Connection } from './connection.ts'
import type { ConnectionOwner } from './session.ts'
import type { ListeningDashboard } from './dashboard/listen.ts'
import type { OwnServerAccess } from './dashboard/own-server.ts'
import { FlushSchedule } from './flush-schedule.ts'
import { Listener, readListenAddress } from './listener.ts'
import type { ListenAddress } from './listener.ts'
import { Maintenance } from './maintenance.ts'
import { OpenConnections } from './open-connections.ts'
import { NO_UDP, resolveServerOptions } from './options.ts'
import type { MemcachedServerOptions, ResolvedServerOptions } from './options.ts'
import { ReplyWriter } from './reply-writer.ts'
import { ServerClock } from './server-clock.ts'
import { statisticsOf } from './stats/forms.ts'
import { generalStatistics } from './stats/general.ts'
import { PrefixCounters } from './stats/prefix-counters.ts'
import { ServerCounters } from './stats/server-counters.ts'
import type { StatisticsSource } from './stats/statistics-source.ts'
import { ItemStore } from './store/item-store.ts'
import { TlsAcceptor } from './tls/tls-acceptor.ts'
import type { HandshakeOwner, PeerVerification } from './tls/tls-acceptor.ts'
import { TurnQueue } from './turn-queue.ts'
import { UdpListener } from './udp/udp-listener.ts'
import { EventLog, EventStream } from './watch/event-log.ts'
import { WarmRestart } from './warm-restart.ts'

const DEFAULT_PREFIX_DELIMITER = ':'
const MAX_VERBOSITY = 3

/** Events of a `MemcachedServer`; it never emits `error`. */
export interface MemcachedServerEvents {
  /** A client has connected; the argument is its address. */
  connect: [peer: string]
  /** A client has disconnected; the argument is its address. */
  disconnect: [peer: string]
  /** A line of the log, according to `verbosity`. */
  log: [line: string]
  /** A client has sent `shutdown`, which `enableShutdown` allows. Close the server. */
  shutdown: [graceful: boolean]
}

/**
 * A memcached in this process: text and meta protocol over TCP or a unix socket, or over any stream by `handle`.
 *
 * @example
 *   await using server = new MemcachedServer({ port: 0 })
 *   const { port } = await server.listen()
 */
export class MemcachedServer extends EventEmitter<MemcachedServerEvents> implements AsyncDisposable {
  readonly #options: ResolvedServerOptions
  readonly #credentials: Credentials | undefined
  readonly #passwords: PasswordDatabase | undefined
  readonly #owner: ConnectionOwner & StatisticsSource
  readonly #maintenance: Maintenance
  readonly #flushes: FlushSchedule
  readonly #restart: WarmRestart | undefined
  readonly #tls: TlsAcceptor | undefined
  readonly #connections: OpenConnections
  readonly #listeners: Listener[] = []
  readonly #udpListeners: UdpListener[] = []
  #listens = false
  #idleTimer: NodeJS.Timeout | undefined
  #dashboard: ListeningDashboard | undefined
  #verbosity: number
  #closed = false
  #closing: Promise<void> | undefined

  /** @throws MemcacheOptionError if an option is unknown or invalid. */
  constructor(options: MemcachedServerOptions = {}) {
    super()
    this.#options = resolveServerOptions(options)
    this.#verbosity = this.#options.verbosity
    const { authFile, saslPasswordFile } = this.#options
    if (authFile !== '') this.#credentials = new Credentials(authFile)
    if (saslPasswordFile !== '') this.#passwords = new PasswordDatabase(saslPasswordFile)
    const { tuning, prefixDelimiter } = this.#options
    const store = new ItemStore({
      ...tuning,
      memoryLimitBytes: this.#options.memoryLimitMb * 1024 * 1024,
      itemMaxBytes: this.#options.itemMaxBytes,
      disableEvictions: this.#options.disableEvictions,
      cas: !this.#options.disableCas,
    })
    const clock = new ServerClock(options.clock ?? systemClock)
    const context: CommandContext = {
      store,
      replies: new ReplyWriter(store),
      counters: new ServerCounters(),
      prefixes: new PrefixCounters(prefixDelimiter || DEFAULT_PREFIX_DELIMITER, { enabled: prefixDelimiter !== '' }),
      clock,
      longLines: { bytes: 0 },
      maxKeys: this.#options.maxPendingResponses,
      events: new EventLog(store, clock, () => this.#updateLogging(context)),
    }
    this.#flushes = new FlushSchedule(store, clock)
    this.#maintenance = new Maintenance({
      store,
      lruMaintainer: tuning.lruMaintainer,
      tick: () => this.#flushes.tick(),
      report: (text) => context.events.system(text),
    })
    const { tls, maxConnections } = this.#options
    this.#connections = new OpenConnections(context, {
      maxConnections,
      verbosity: () => this.#verbosity,
      emit: (event, text) => this.#emitSafely(event, text),
    })
    if (tls !== undefined) this.#tls = new TlsAcceptor(tls, this.#handshakeOwner(context))
    this.#owner = this.#makeOwner(context)
    if (this.#options.memoryFile !== '') this.#restart = this.#makeRestart(context, this.#options.memoryFile)
  }

  /**
   * Starts listening, and resolves with the address: the first of several; for a unix socket, its path and port 0.
   *
   * @throws MemcacheConnectionError if it cannot: the port is in use, or the process has no permission.
   * @throws MemcacheClosedError after `close()`, and MemcacheOptionError if it listens already, if `memoryFile` could
   *   not be written, or if there is an empty `.meta` file of memcached beside it.
   */
  async listen(...others: readonly never[]): Promise<{ host: string; port: number }> {
    this.#requireOpen()
    if (others.length > 0) {
      throw new MemcacheOptionError('listen takes no arguments: write new MemcachedServer({ port, host }).listen()')
    }
    if (this.#listens)
      throw new MemcacheOptionError(
        'this server is already listening: to listen on several addresses, set host to a list',
      )
    this.#restart?.restore()
    this.#listens = true
    const { backlog } = this.#options
    const accept = (socket: Socket, from: Listener): void => this.#accept(socket, from)
    const failed = (message: string): void => this.#emitSafely('log', message)
    try {
      for (const where of this.#addresses()) {
        const verification = this.#verificationOf(where)
        const id = this.#connections.nextId()
        this.#listeners.push(await Listener.open(id, where, { backlog, verification, accept, failed }))
        this.#requireOpen()
      }
      for (const where of this.#udpAddresses()) {
        this.#udpListeners.push(await UdpListener.open(this.#connections.nextId(), where, this.#owner))
        this.#requireOpen()
      }
      await this.#openDashboard()
      this.#requireOpen()
    } catch (error) {
      this.#listens = false
      await this.#closeDashboard()
      for (const { server } of this.#listeners.splice(0)) server.close()
      for (const listener of this.#udpListeners.splice(0)) listener.close()
      throw error
    }
    this.#restart?.removeSaved()
    this.#begin()
    const { host, port = 0 } = this.#listeners[0] ?? this.#udpListeners[0]!
    return { host, port }
  }

  #requireOpen(): void {
    if (this.#closed) throw new MemcacheClosedError('this server was closed: create a new one')
  }

  /** Serves memcached's protocols over a stream. */
  handle(stream: Duplex): void {
    this.#handle(stream, this.#owner)
  }

  #handle(stream: Duplex, owner: ConnectionOwner): void {
    if (this.#closed) {
      stream.destroy()
      return
    }
    this.#begin()
    this.#connections.handle(stream, owner)
  }

  /** Returns the general statistics, by memcached's names. */
  stats(): Record<string, string | number> {
    this.#owner.tick()
    return Object.fromEntries(generalStatistics(this.#owner))
  }

  /** The URL of the dashboard, `http://127.0.0.1:11212/`, once the server listens; `undefined` without the option. */
  get dashboardUrl(): string | undefined {
    return this.#dashboard?.url
  }

  /** The listening ports, one per line, as memcached writes them to the file that `MEMCACHED_PORT_FILENAME` names. */
  get portLines(): string {
    const tcp = this.#listeners.filter(({ port }) => port !== undefined).map((listener) => portLine('TCP', listener))
    return [...tcp, ...this.#udpListeners.map((listener) => portLine('UDP', listener))].join('')
  }

  /**
   * Reads the authentication file and the certificates of TLS again. If a file cannot be used, the log says so, and the
   * earlier contents stay in use.
   */
  reload(): void {
    try {
      this.#credentials?.reload()
    } catch (error) {
      this.#emitSafely('log', `${(error as Error).message}; the credentials stay as they were`)
    }
    if (this.#tls !== undefined) this.#refreshCertificates(this.#tls)
  }

  /** Stops listening, sends the pending responses, and ends all connections. Later calls wait for the first. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#closed = true
    this.#maintenance.stop()
    clearInterval(this.#idleTimer)
    await this.#closeDashboard()
    const closed = this.#listeners.map(({ server }) => once(server, 'close'))
    for (const { server } of this.#listeners) server.close()
    for (const listener of this.#udpListeners) listener.close()
    this.#tls?.close()
    await this.#connections.endAll()
    await Promise.all(closed)
    this.#restart?.save()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Opens the dashboard, whose code is loaded only if the option `dashboard` is set. */
  async #openDashboard(): Promise<void> {
    const { dashboard, dashboardToken } = this.#options
    if (dashboard === '') return
    const { listenForDashboard, readDashboardAddress } = await import('./dashboard/listen.ts')
    const { OwnServer } = await import('./dashboard/own-server.ts')
    const own = [new OwnServer(this.#dashboardAccess())]
    const token = dashboardToken === '' ? undefined : dashboardToken
    this.#dashboard = await listenForDashboard({ ...readDashboardAddress(dashboard), token, servers: () => own })
  }

  async #closeDashboard(): Promise<void> {
    const dashboard = this.#dashboard
    this.#dashboard = undefined
    await dashboard?.close()
  }

  #dashboardAccess(): OwnServerAccess {
    const first = this.#listeners[0] ?? this.#udpListeners[0]!
    // The dashboard checks its token before it acts, and uses the text protocol, regardless of the protocol of clients.
    const trusting = Object.create(this.#owner, {
      credentials: { value: undefined },
      passwords: { value: undefined },
      options: { value: { ...this.#options, protocol: 'ascii' } },
    }) as ConnectionOwner
    const speaksText = this.#options.protocol !== 'binary'
    return {
      name: first.port === undefined ? first.host : hostPort(first.host, first.port),
      statistics: (form) => {
        this.#owner.tick()
        const statistics = statisticsOf(form, this.#owner)
        return statistics === undefined ? undefined : Object.fromEntries(statistics)
      },
      connect: () => {
        const [ours, theirs] = duplexPair()
        // One end of a pair does not notice that the other end was destroyed.
        ours.once('close', () => theirs.destroy())
        this.#handle(theirs, trusting)
        return ours
      },
      probeAddress: () => {
        const plain = this.#listeners.find(({ verification }) => verification === undefined)
        if (plain === undefined || !speaksText) return undefined
        return plain.port === undefined ? { path: plain.host } : reachable(plain.host, plain.port)
      },
    }
  }

  #addresses(): ListenAddress[] {
    const { unixSocket, unixSocketMode, disableTcp, host, port } = this.#options
    if (unixSocket !== '') return [{ path: unixSocket, mode: unixSocketMode }]
    return disableTcp ? [] : host.map((address) => readListenAddress(address, port))
  }

  /** Returns the addresses for UDP. As in memcached, the port of an address is used for UDP too. */
  #udpAddresses(): { host: string; port: number }[] {
    const { host, udpPort } = this.#options
    return udpPort === NO_UDP ? [] : host.map((address) => readListenAddress(address, udpPort))
  }

  /** Starts the background work. */
  #begin(): void {
    this.#maintenance.start()
    const { idleTimeoutSeconds } = this.#options
    if (idleTimeoutSeconds > 0) {
      this.#idleTimer ??= unrefTimer(setInterval(() => this.#kickIdle(idleTimeoutSeconds), 1000))
    }
  }

  #kickIdle(seconds: number): void {
    this.#owner.tick()
    this.#connections.kickIdle(seconds)
  }

  #accept(socket: Socket, listener: Listener): void {
    const { verification } = listener
    const ends = this.#connections.admit(socket, listener)
    if (ends === undefined) return
    if (verification === undefined) this.#connections.serveSocket(socket, this.#owner, ends)
    else this.#tls!.accept(socket, verification, ends)
  }

  #handshakeOwner(context: CommandContext): HandshakeOwner {
    const { counters, events, store } = context
    return {
      counters,
      now: () => {
        this.#flushes.tick()
        return store.now
      },
      secured: (stream, ends) => {
        if (this.#closed) stream.destroy()
        this.#connections.serve(new Connection(stream, this.#owner, { kind: 'tls', ends }))
      },
      failed: (id, message) => {
        if (events.streams !== 0) events.tlsFailed(id, message)
      },
      abandoned: (ends) => this.#connections.gone(ends, 'error'),
    }
  }

  /** Reads the certificates again; returns the response to `refresh_certs`. */
  #refreshCertificates(tls: TlsAcceptor): string {
    try {
      tls.refresh()
      return 'OK'
    } catch (error) {
      const { message } = error as Error
      this.#emitSafely('log', `${message}; the certificates stay as they were`)
      return message
    }
  }

  /** @throws MemcacheOptionError if a prefix needs TLS and there is none. */
  #verificationOf(where: ListenAddress): PeerVerification | undefined {
    if ('path' in where) return undefined
    if (this.#tls === undefined) {
      if (where.tls === undefined) return undefined
      throw new MemcacheOptionError(`'${where.tls}' before an address is valid only with TLS: set the option tls (-Z)`)
    }
    if (where.tls === 'notls') return undefined
    if (where.tls === 'btls') return 'none'
    return where.tls === 'mtls' ? 'require' : this.#tls.verification
  }

  /** Emits an event. An error of a listener must not disturb a request: it is thrown later, as an uncaught exception. */
  #emitSafely(event: 'connect' | 'disconnect' | 'log', text: string): void {
    try {
      this.emit(event, text)
    } catch (error) {
      process.nextTick(() => {
        throw error
      })
    }
  }

  /** Sets the flags that commands and evictions check, so that logging and watching cost nothing while they are off. */
  #updateLogging({ events, store }: CommandContext): void {
    this.#owner.logsCommands = this.#verbosity > 1 || (events.streams & EventStream.rawcmds) !== 0
    const watchesEvictions = (events.streams & EventStream.evictions) !== 0
    store.tails.watchEvictions(watchesEvictions ? (item) => events.evicted(item) : undefined)
  }

  #makeRestart(context: CommandContext, path: string): WarmRestart {
    const log = (line: string, verbosity = 0): void => {
      if (this.#verbosity >= verbosity) this.#emitSafely('log', line)
    }
    return new WarmRestart({ path, context, flushes: this.#flushes, log })
  }

  #makeOwner(context: CommandContext): ConnectionOwner & StatisticsSource {
    const { store } = context
    const verbosity = (): number => this.#verbosity
    const { maxRequestsPerEvent, maxPendingResponses } = this.#options
    const refusals = new RefusalLog((line) => this.#emitSafely('log', line))
    const limitsResponses = maxPendingResponses > 0 && maxPendingResponses < maxRequestsPerEvent
    return {
      maxRequestsPerTurn: limitsResponses ? maxPendingResponses + 1 : maxRequestsPerEvent,
      limitsResponses,
      context,
      options: this.#options,
      maintenance: this.#maintenance,
      listeners: this.#listeners,
      udpListeners: this.#udpListeners,
      connections: this.#connections,
      get verbosity() {
        return verbosity()
      },
      tick: () => this.#flushes.tick(),
      flushAll: (delaySeconds) => this.#flushes.flushAll(delaySeconds),
      setVerbosity: (level) => {
        this.#verbosity = Math.min(level, MAX_VERBOSITY)
        this.#updateLogging(context)
      },
      tls: this.#tls,
      logsCommands: this.#verbosity > 1,
      log: (line) => this.#emitSafely('log', line),
      turns: new TurnQueue(),
      credentials: this.#credentials,
      passwords: this.#passwords,
      refusedCredentials: (user) => refusals.refused(user, store.now),
      failed: (error, peer) => {
        const description = error instanceof Error ? (error.stack ?? error.message) : String(error)
        this.#emitSafely('log', `a request from ${peer} failed, its connection is closed: ${description}`)
      },
      statistics: (form) => statisticsOf(form, this.#owner),
      resetStatistics: () => {
        context.counters.reset()
        context.prefixes.reset()
        store.counters.reset()
        store.statistics.reset()
        context.replies.bytesWritten = 0
        context.events.resetCounts()
      },
      refreshCertificates: () =>
        this.#tls === undefined ? 'Error TLS not enabled' : this.#refreshCertificates(this.#tls),
      shutDown: (graceful) => void this.emit('shutdown', graceful),
    }
  }
}

function portLine(transport: string, { family, port }: Pick<Listener, 'family' | 'port'>): string {
  return `${transport} ${family === 'IPv6' ? 'INET6' : 'INET'}: ${port}\n`
}

function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Returns the address at which this machine reaches a listener, whose own address may be a wildcard. */
function reachable(host: string, port: number): { host: string; port: number } {
  return { host: host === '::' ? '::1' : host === '0.0.0.0' ? '127.0.0.1' : host, port }
}
