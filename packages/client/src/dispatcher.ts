import { checkKey, joinKey, MemcacheError } from 'memcache-ts-protocol'
import type { Key } from 'memcache-ts-protocol'
import type { CallOptions } from './call-options.ts'
import type { Connection } from './connection.ts'
import type { Operation } from './operation.ts'
import type { ResolvedClientOptions } from './options.ts'
import { Ketama } from './routing/ketama.ts'
import { Modula } from './routing/modula.ts'
import { ServerPool } from './server-pool.ts'
import type { PoolObserver } from './server-pool.ts'

/** Finds the connection for a key, and hands operations to it. */
export class Dispatcher {
  readonly pools: readonly ServerPool[]
  readonly #options: ResolvedClientOptions
  readonly #router: Ketama | Modula | undefined

  constructor(options: ResolvedClientOptions, observer: PoolObserver) {
    this.#options = options
    this.pools = options.servers.map((address) => new ServerPool(address, options.poolSize, options, observer))
    const { servers, hash } = options
    // A single server needs no hashing.
    if (servers.length > 1) this.#router = hash === 'ketama' ? new Ketama(servers) : new Modula(servers)
  }

  /**
   * The key as it goes over the wire, with the prefix.
   * @throws MemcacheKeyError for one that memcached cannot hold.
   */
  wireKey(key: Key): string {
    const wireKey = this.#options.prefix + joinKey(key)
    checkKey(wireKey)
    return wireKey
  }

  /** The server of a key; where `failover` says so, the next one while it is away. */
  poolFor(wireKey: string): ServerPool {
    const router = this.#router
    const pools = this.pools
    if (router === undefined) return pools[0]!
    const first = pools[router.serverOf(wireKey)]!
    if (!first.isDown || this.#options.failover === 'none') return first
    for (let attempt = 1; attempt < pools.length; attempt++) {
      const next = pools[router.serverOf(wireKey, attempt)]!
      if (!next.isDown) return next
    }
    return first
  }

  /**
   * The connection that an operation on this key goes to, ready for its request to be written.
   * @throws MemcacheError when it cannot be taken now.
   */
  connectionFor(wireKey: string, options: CallOptions | undefined): Connection {
    const { groupKey } = options ?? {}
    const pool = this.poolFor(groupKey === undefined ? wireKey : this.wireKey(groupKey))
    return this.open(pool, wireKey)
  }

  /** @throws MemcacheError when the server cannot be asked now. */
  open(pool: ServerPool, wireKey: string): Connection {
    const connection = pool.for(wireKey)
    const refusal = connection.refusal()
    if (refusal !== undefined) throw refusal
    connection.requests.room()
    return connection
  }

  /** Sends the operation whose request was written. */
  send(connection: Connection, operation: Operation, options: CallOptions | undefined): void {
    connection.send(operation, options?.timeoutMs ?? this.#options.timeoutMs)
    const signal = options?.signal
    if (signal === undefined) return
    const abort = (): void => operation.fail(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    operation.release = () => signal.removeEventListener('abort', abort)
  }

  async close(): Promise<void> {
    await Promise.all(this.pools.map((pool) => pool.close()))
  }
}

/** An error of ours as it is, anything else as the cause of one. */
export function asMemcacheError(error: unknown): MemcacheError {
  return error instanceof MemcacheError
    ? error
    : new MemcacheError('ERR_MEMCACHE_CONNECTION', String(error), { cause: error })
}
