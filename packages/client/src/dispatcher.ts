import {
  checkKey,
  joinKey,
  keyTextProblem,
  kindOf,
  MAX_KEY_BYTES,
  MemcacheKeyError,
  MemcacheOptionError,
} from 'memcache-ts-protocol'
import type { Key } from 'memcache-ts-protocol'
import { checkCall, deadlineOf } from './call-deadline.ts'
import type { CallOptions, ClientKey } from './call-options.ts'
import { isBytes } from './client-key.ts'
import type { Connection } from './connection/connection.ts'
import { ServerPool } from './connection/server-pool.ts'
import type { PoolObserver } from './connection/server-pool.ts'
import { refuseUnhosted } from './hosted-profile.ts'
import { hashedKey, looksHashed } from './hashed-key.ts'
import { errorForKey } from './operations/error-for-key.ts'
import { GetCall } from './operations/get-batch.ts'
import type { WireKey } from './client-key.ts'
import type { Operation } from './operations/operation.ts'
import { watch } from './operations/waiter.ts'
import type { ResolvedClientOptions } from './options.ts'
import { createRouter } from './routing/create-router.ts'
import type { Router } from './routing/router.ts'
import type { ServerAddress } from './server-address.ts'
import type { ValueReader } from './values/value-codec.ts'

/** Bytes travel as base64, and memcached counts its 250 in that. */
const MAX_KEY_OF_BYTES = Math.floor(MAX_KEY_BYTES / 4) * 3

/** Finds the connection for a key, and hands operations to it. */
export class Dispatcher {
  #pools: readonly ServerPool[] = []
  readonly #options: ResolvedClientOptions
  readonly #observer: PoolObserver
  #router: Router | undefined
  /** Servers that are no longer used, until what was asked of them is done. */
  readonly #ending = new Set<Promise<void>>()

  constructor(options: ResolvedClientOptions, observer: PoolObserver) {
    this.#options = options
    this.#observer = observer
  }

  get pools(): readonly ServerPool[] {
    return this.#pools
  }

  /** Uses these servers from now on; what is asked of one that is no longer among them is still answered. */
  use(servers: readonly ServerAddress[]): void {
    const before = new Map(this.#pools.map((pool) => [identity(pool.address), pool]))
    this.#pools = servers.map((address) => {
      const kept = before.get(identity(address))
      before.delete(identity(address))
      return kept ?? new ServerPool(address, this.#options.poolSize, this.#options, this.#observer)
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
   * The key as it goes over the wire, with the prefix.
   * @throws MemcacheKeyError for one that memcached cannot hold.
   */
  wireKey(key: ClientKey): WireKey {
    return isBytes(key) ? this.#binaryKey(key) : this.textKey(key)
  }

  /** As `wireKey`, for a key that is text. */
  textKey(key: Key): string {
    const wireKey = this.#options.prefix + (typeof key === 'string' ? key : joinKey(key))
    const isHashed = this.#options.longKeys === 'hash'
    if (isHashed && (Buffer.byteLength(wireKey) > MAX_KEY_BYTES || looksHashed(wireKey))) {
      // What may not be in a key at all is refused, long or not.
      const problem = keyTextProblem(wireKey)
      if (problem !== undefined) throw new MemcacheKeyError(problem, { key: wireKey })
      return hashedKey(wireKey)
    }
    checkKey(wireKey)
    return wireKey
  }

  #binaryKey(key: Uint8Array): WireKey {
    const bytes = Buffer.concat([Buffer.from(this.#options.prefix), key])
    if (key.length === 0 || bytes.length > MAX_KEY_OF_BYTES) {
      throw new MemcacheKeyError(
        `a key that is bytes has 1 to ${MAX_KEY_OF_BYTES} of them with the prefix, this one has ${bytes.length}`,
      )
    }
    if (this.#options.longKeys === 'hash' && looksHashed(bytes.toString('latin1'))) return hashedKey(bytes)
    return bytes
  }

  /** The server of a key, or the one that the call says; where `failover` says so, the next one while it is away. */
  poolFor(wireKey: WireKey, options?: CallOptions): ServerPool {
    return this.poolOf(this.routedBy(wireKey, options), options?.server)
  }

  /** The server of a key that decides where an operation goes, or the one that the call says. */
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
    const asked = typeof server === 'string' ? server : kindOf(server)
    throw new MemcacheOptionError(`${asked} is none of this client's servers, which are ${names.join(', ')}`)
  }

  /**
   * Sends an operation to the server of its key.
   * @throws MemcacheError when it cannot be asked now.
   */
  send(operation: Operation, wireKey: WireKey, options: CallOptions | undefined): void {
    const routed = this.routedBy(wireKey, options)
    this.sendTo(this.poolOf(routed, options?.server), operation, routed, options)
  }

  /**
   * Sends an operation to a server, by the connection of a key.
   * @throws MemcacheError when the server cannot be asked now.
   */
  sendTo(pool: ServerPool, operation: Operation, wireKey: WireKey, options: CallOptions | undefined): void {
    this.sendBy(pool.for(wireKey), operation, options)
  }

  /**
   * Sends an operation by a connection.
   * @throws MemcacheError when the server cannot be asked now.
   */
  sendBy(connection: Connection, operation: Operation, options: CallOptions | undefined): void {
    if (this.#options.profile === 'hosted') refuseUnhosted(operation)
    checkOpen(connection, operation.key)
    const deadline = deadlineOf(options)
    deadline?.check()
    operation.call = deadline
    connection.send(operation, deadline?.timeoutMs ?? options?.timeoutMs ?? this.#options.timeoutMs)
    if (options?.signal !== undefined) watch(options.signal, operation)
  }

  /** A plain `get`, asked together with the others of its turn of the loop. */
  get<Value>(
    key: Key,
    options: CallOptions | undefined,
    reader: ValueReader,
    again: (call: GetCall) => void,
  ): Promise<Value | undefined> {
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
      connection.get(call, reader, again)
      if (options?.signal !== undefined) watch(options.signal, call)
    })
  }

  /** The key that decides where an operation goes: that of its group, so that what is asked of a group keeps its order. */
  routedBy(wireKey: WireKey, options: CallOptions | undefined): WireKey {
    return options?.groupKey === undefined ? wireKey : this.wireKey(options.groupKey)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#ending, ...this.#pools.map((pool) => pool.close())])
  }
}

/** What makes a server the same one: a name that moved to another address is another connection. */
function identity({ name, ip }: ServerAddress): string {
  return `${name} ${ip ?? ''}`
}

/** @throws MemcacheError when the server cannot be asked now. */
function checkOpen(connection: Connection, key: Key | undefined): void {
  const refusal = connection.refusal()
  if (refusal !== undefined) throw errorForKey(refusal, key === undefined ? undefined : joinKey(key), false)
}
