import type { MemcachedClient } from 'memcache-ts-client'
import { MemcacheUnsupportedError } from 'memcache-ts-protocol'
import type { Clock } from 'memcache-ts-protocol'
import type { Logger } from '../logger.ts'
import type { CacheStore } from './cache-store.ts'
import { ClassicStore } from './classic-store.ts'
import { MetaStore } from './meta-store.ts'

/** The store that suits the servers: meta commands, until a server turns out to have none. */
export class AdaptiveStore {
  readonly #classic: () => CacheStore
  readonly #logger: Logger
  #store: CacheStore

  constructor(client: MemcachedClient, leaseSeconds: number, clock: Clock, logger: Logger) {
    this.#store = new MetaStore(client, leaseSeconds)
    this.#classic = () => new ClassicStore(client, leaseSeconds, clock)
    this.#logger = logger
  }

  /** Whether items tell their remaining lifetime. */
  get tellsTtl(): boolean {
    return this.#store.tellsTtl
  }

  /** Does something with the store; once more where it turns out that the server has no meta commands. */
  use<Result>(task: (store: CacheStore) => Promise<Result>): Promise<Result> {
    const store = this.#store
    if (!store.tellsTtl) return task(store)
    return task(store).catch((error: unknown) => {
      if (!(error instanceof MemcacheUnsupportedError)) throw error
      if (this.#store === store) this.#giveUpMeta(error)
      return task(this.#store)
    })
  }

  #giveUpMeta(error: MemcacheUnsupportedError): void {
    this.#store = this.#classic()
    this.#logger.warn(
      `memcache-ts: ${error.server ?? 'a server'} has no meta commands: leases by add and cas, expire() deletes, a miss takes two more round trips; memcached 1.6 has them`,
    )
  }
}
