import {
  checkKey,
  joinKey,
  keyTextProblem,
  kindOf,
  MAX_KEY_BYTES,
  MemcacheKeyError,
  MemcacheOptionError,
  MemcacheUnsupportedError,
} from 'memcache-ts-protocol'
import type { Key, MemcacheError } from 'memcache-ts-protocol'
import { checkCall, deadlineOf } from './call-deadline.ts'
import type { CallOptions, ClientKey } from './call-options.ts'
import { binaryKey, hashedKey, isBytes, looksHashed, textOfBytes } from './client-key.ts'
import type { WireKey } from './client-key.ts'
import type { ConnectionOptions, ConnectionReport, Retirement } from './connection/connection-contract.ts'
import { Connection } from './connection/connection.ts'
import { errorForKey } from './errors.ts'
import { GetCall } from './operations/key-list-operation.ts'
import type { GetReading } from './operations/key-list-operation.ts'
import { LinesOperation } from './operations/lines-operation.ts'
import type { Operation } from './operations/operation.ts'
import { watch } from './operations/waiter.ts'
import type { ResolvedClientOptions } from './options.ts'
import { createRouter } from './routing/create-router.ts'
import type { Router } from './routing/router.ts'
import type { ServerAddress } from './server-address.ts'

/** Finds the connection for a key, and passes operations to it. */
export class Dispatcher {
  #pools: readonly ServerPool[] = []
  readonly #options: ResolvedClientOptions
  readonly #observer: PoolObserver
  #router: Router | undefined
  /** The pending closes of servers that are no longer used; each ends when the server's operations are done. */
  readonly #ending = new Set<Promise<void>>()

  constructor(options: ResolvedClientOptions, observer: PoolObserver) {
    this.#options = options
    this.#observer = observer
  }

  get pools(): readonly ServerPool[] {
    return this.#pools
  }

  /** Whether many operations wait on a connection. */
  get isCrowded(): boolean {
    return this.#pools.some((pool) => pool.isCrowded)
  }

  /**
   * Sets the servers that are used from now on. Operations that are pending on a removed server still get their
   * responses.
   */
  use(servers: readonly ServerAddress[]): void {
    const before = new Map(this.#pools.map((pool) => [identity(pool.address), pool]))
    this.#pools = servers.map((address) => {
      const kept = before.get(identity(address))
      before.delete(identity(address))
      return kept ?? new ServerPool(address, this.#options, this.#observer)
    })
    // A single server needs no hashing.
    this.#router = servers.length > 1 ? createRouter(this.#options, servers) : undefined
    for (const gone of before.values()) {
      const ending = gone.close()
      this.#ending.add(ending)
      void ending.finally(() => this.#ending.delete(ending))
    }
  }

  /**
   * Returns the key as it is sent, with the prefix.
   *
   * @throws MemcacheKeyError if memcached cannot hold the key.
   */
  wireKey(key: ClientKey): WireKey {
    return isBytes(key) ? this.#binaryKey(key) : this.textKey(key)
  }

  /** Returns a text key as it is sent; see `wireKey`. */
  textKey(key: Key): string {
    const wireKey = this.#options.prefix + (typeof key === 'string' ? key : joinKey(key))
    const isHashed = this.#options.longKeys === 'hash'
    if (isHashed && (Buffer.byteLength(wireKey) > MAX_KEY_BYTES || looksHashed(wireKey))) {
      // Invalid characters are refused at any length.
      const problem = keyTextProblem(wireKey)
      if (problem !== undefined) throw new MemcacheKeyError(problem, { key: wireKey })
      return hashedKey(wireKey)
    }
    checkKey(wireKey)
    return wireKey
  }

  /**
   * Returns bytes as text if they are valid text. Both are the same item, so their calls must keep their order and go
   * to the same server.
   */
  #binaryKey(key: Uint8Array): WireKey {
    const bytes = binaryKey(this.#options.prefix, key)
    const wireKey = textOfBytes(bytes) ?? bytes
    return this.#options.longKeys === 'hash' && looksHashed(bytes.toString('latin1')) ? hashedKey(bytes) : wireKey
  }

  /**
   * Returns the server of a key, or the server that the call names. If that server is away and `failover` is `next`,
   * returns the next one.
   */
  poolFor(wireKey: WireKey, options?: CallOptions): ServerPool {
    return this.poolOf(this.routedBy(wireKey, options), options?.server)
  }

  /** Returns the server of a routing key (see `routedBy`), or the server that the call names. */
  poolOf(routed: WireKey, server: string | undefined): ServerPool {
    const router = this.#router
    const pools = this.#pools
    if (server !== undefined) return this.#named(server)
    if (router === undefined) return pools[0]!
    const first = pools[router.serverOf(routed, 0)]!
    if (this.#options.failover === 'none' || !first.isDown) return first
    for (let attempt = 1; attempt < pools.length; attempt++) {
      const next = pools[router.serverOf(routed, attempt)]!
      if (!next.isDown) return next
    }
    return first
  }

  #named(server: string): ServerPool {
    const pool = this.#pools.find(({ address }) => address.name === server)
    if (pool !== undefined) return pool
    const names = this.#pools.map(({ address }) => address.name)
    const given = typeof server === 'string' ? server : kindOf(server)
    throw new MemcacheOptionError(`${given} is not one of this client's servers: ${names.join(', ')}`)
  }

  /**
   * Sends an operation to the server of its key.
   *
   * @throws MemcacheError if the server cannot take an operation now.
   */
  send(operation: Operation, wireKey: WireKey, options: CallOptions | undefined): void {
    const routed = this.routedBy(wireKey, options)
    this.sendBy(this.poolOf(routed, options?.server).for(routed), operation, options)
  }

  /**
   * Sends an operation by a connection.
   *
   * @throws MemcacheError if the server cannot take an operation now.
   */
  sendBy(connection: Connection, operation: Operation, options: CallOptions | undefined): void {
    if (this.#options.profile === 'hosted') refuseUnhosted(operation)
    const deadline = deadlineOf(options)
    checkOpen(connection, operation.key, deadline?.batchSize)
    deadline?.check()
    operation.call = deadline
    connection.send(operation, deadline?.timeoutMs ?? options?.timeoutMs ?? this.#options.timeoutMs)
    if (options?.signal !== undefined) watch(options.signal, operation)
  }

  /** Sends a plain `get` together with the other gets of the same turn of the event loop. */
  get<Value>(key: Key, options: CallOptions | undefined, reading: GetReading): Promise<Value | undefined> {
    return new Promise((resolve, reject) => {
      if (options !== undefined) checkCall(options)
      const wireKey = this.textKey(key)
      const routed = this.routedBy(wireKey, options)
      const connection = this.poolOf(routed, options?.server).for(routed)
      checkOpen(connection, key)
      const deadline = options && deadlineOf(options)
      deadline?.check()
      const timeoutMs = deadline?.timeoutMs ?? options?.timeoutMs ?? this.#options.timeoutMs
      const call = new GetCall(key, wireKey, timeoutMs, options, resolve as (value: unknown) => void, reject)
      call.call = deadline
      connection.get(call, reading)
      if (options?.signal !== undefined) watch(options.signal, call)
    })
  }

  /**
   * Returns the key that decides the server and the connection of an operation: `groupKey` if it is given, so that the
   * operations of a group keep their order.
   */
  routedBy(wireKey: WireKey, options: CallOptions | undefined): WireKey {
    return options?.groupKey === undefined ? wireKey : this.wireKey(options.groupKey)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#ending, ...this.#pools.map((pool) => pool.close())])
  }
}

/** Returns the identity of a server: if its name moves to another address, it is another server. */
function identity({ name, ip }: ServerAddress): string {
  return `${name} ${ip ?? ''}`
}

/** @throws MemcacheError if the server cannot take an operation now. */
function checkOpen(connection: Connection, key: Key | undefined, batchSize?: number): void {
  const refusal = connection.refusal(batchSize)
  if (refusal !== undefined) throw errorForKey(refusal, { key: key === undefined ? undefined : joinKey(key) })
}

/** The part of a timeout in which the other connections must respond after one was silent for a whole timeout. */
const PROBE_SHARE = 0.25

/** Receives the events of a server, for the client's events. */
export interface PoolObserver {
  connected(server: string): void
  disconnected(server: string, error: MemcacheError | undefined): void
  retrying(server: string, delayMs: number): void
  ejected(server: string, error: MemcacheError): void
  rejoined(server: string): void
}

/** Options of a `ServerPool`. */
interface PoolOptions extends ConnectionOptions {
  /** The number of connections. */
  readonly poolSize: number
}

/**
 * The connections to one server. A key always uses the same connection, so that operations on it keep their order.
 * While that connection is down, all of its keys use another one, and return when their operations there are done. The
 * server counts as away only if none of its connections works: the failure of one connection says nothing about the
 * others while they are open.
 */
export class ServerPool {
  readonly address: ServerAddress
  readonly #options: PoolOptions
  readonly #observer: PoolObserver
  readonly #connections: Connection[]
  /** The connection that serves the keys of a connection that is down, by the index of the latter. */
  readonly #detours: (Connection | undefined)[]
  /** Retired connections, which close after the operations with longer limits. */
  readonly #retired = new Set<Promise<void>>()
  #ejected = false
  #closed = false

  constructor(address: ServerAddress, options: PoolOptions, observer: PoolObserver) {
    this.address = address
    this.#options = options
    this.#observer = observer
    this.#connections = []
    this.#detours = Array.from({ length: options.poolSize })
    for (let place = 0; place < options.poolSize; place++) this.#connections.push(this.#connect(place))
  }

  /** Whether the server is away. A connection that the server refused says nothing about connections that are not open. */
  get isDown(): boolean {
    let down = 0
    let isAway = false
    for (const connection of this.#connections) {
      if (connection.isUsable) return false
      if (!connection.isDown) continue
      down++
      if (!connection.isRefused) isAway = true
    }
    return isAway || down === this.#connections.length
  }

  report(): ConnectionReport[] {
    return this.#connections.map((connection) => connection.report())
  }

  /** Whether many operations wait on a connection. */
  get isCrowded(): boolean {
    return this.#connections.some((connection) => connection.isCrowded)
  }

  /** The number of connections. */
  get size(): number {
    return this.#connections.length
  }

  /**
   * Returns the connection by which any keys may be read in one request without overtaking a write: the only connection
   * with a write under way, or, if there is none, the connection of the first key; `undefined` while writes are under
   * way on several connections.
   */
  forAll(first: WireKey): Connection | undefined {
    let writing: Connection | undefined
    for (const connection of this.#connections) {
      if (!connection.isWriting) continue
      if (writing !== undefined) return undefined
      writing = connection
    }
    return writing ?? this.for(first)
  }

  /** Returns the connection for a key. */
  for(key: WireKey): Connection {
    const connections = this.#connections
    const place = connections.length === 1 ? 0 : spread(key) % connections.length
    const own = connections[place]!
    return own.isDown ? (this.#detour(place) ?? own) : own
  }

  /** Lets waiting operations finish on all connections. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#retired, ...this.#connections.map((connection) => connection.close())])
  }

  #connect(place: number, downBy?: MemcacheError): Connection {
    const { address } = this
    const observer = this.#observer
    const connection = new Connection(address, this.#options, {
      connected: () => {
        observer.connected(address.name)
        this.#checkRejoined()
      },
      disconnected: (error) => {
        observer.disconnected(address.name, error)
        this.#checkEjected(error)
      },
      retrying: (delayMs) => observer.retrying(address.name, delayMs),
      silent: () => this.#probeOthers(place),
      retired: (retirement) => this.#replace(place, retirement),
      successor: () => this.#detour(place),
      returned: () => {
        const detour = this.#detours[place]
        this.#detours[place] = undefined
        return detour?.whenDone()
      },
    })
    if (downBy !== undefined) connection.beginDown(downBy)
    return connection
  }

  /** Returns the connection that serves the keys of a connection that is down; it stays the same until it is down, too. */
  #detour(place: number): Connection | undefined {
    const taken = this.#detours[place]
    if (taken?.isUsable === true) return taken
    const others = this.#connections.filter((_, other) => other !== place)
    const found =
      others.find((connection) => connection.isUsable) ??
      // A closed connection is tried if the server may have refused only this one.
      (this.#connections[place]?.isRefused === true ? others.find((connection) => !connection.isDown) : undefined)
    this.#detours[place] = found
    return found
  }

  #replace(place: number, { reason, isSilent }: Retirement): void {
    const ending = this.#connections[place]!.close()
    this.#retired.add(ending)
    void ending.finally(() => this.#retired.delete(ending))
    if (this.#closed) return
    this.#connections[place] = this.#connect(place, isSilent ? reason : undefined)
    this.#observer.disconnected(this.address.name, reason)
    this.#checkEjected(reason)
    if (isSilent) this.#probeOthers(place)
  }

  #probeOthers(place: number): void {
    const timeoutMs = Math.max(1, this.#options.timeoutMs * PROBE_SHARE)
    for (const [other, connection] of this.#connections.entries()) {
      if (other !== place) void connection.probe(timeoutMs)
    }
  }

  #checkEjected(error: MemcacheError | undefined): void {
    if (error === undefined || this.#ejected || !this.isDown) return
    this.#ejected = true
    this.#observer.ejected(this.address.name, error)
  }

  #checkRejoined(): void {
    if (!this.#ejected || this.isDown) return
    this.#ejected = false
    this.#observer.rejoined(this.address.name)
  }
}

/** Returns a number for a key from a few of its characters, which is enough to spread keys over a few connections. */
function spread(key: WireKey): number {
  const { length } = key
  if (length === 0) return 0
  if (typeof key !== 'string') return length + key[length - 1]!
  return length + key.charCodeAt(length - 1) * 31 + key.charCodeAt(length >> 1) * 7
}

/** Commands that hosted servers do not have, in any version. */
const ADMINISTRATION = /^(lru_crawler|me|watch) /

/** @throws MemcacheUnsupportedError for a command that hosted servers (`profile: 'hosted'`) do not have. */
export function refuseUnhosted(operation: Operation): void {
  if (!(operation instanceof LinesOperation)) return
  const [, command] = ADMINISTRATION.exec(operation.request.text) ?? []
  if (command === undefined) return
  throw new MemcacheUnsupportedError(`hosted servers (profile: 'hosted') do not support '${command}'`)
}
