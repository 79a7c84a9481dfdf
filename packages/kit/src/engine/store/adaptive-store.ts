import type { MemcachedClient } from 'memcache-ts-client'
import { MemcacheUnsupportedError } from 'memcache-ts-protocol'
import type { Clock } from 'memcache-ts-protocol'
import type { Logger } from '../../logger.ts'
import type { CacheStore, Fetched, FetchRequest, Filled, Filling } from './cache-store.ts'
import { ClassicStore } from './classic-store.ts'
import { MetaStore } from './meta-store.ts'

/** The store that suits the server of a key: meta commands, unless that server turned out to have none. */
export class AdaptiveStore {
  readonly #client: MemcachedClient
  readonly #logger: Logger
  readonly #meta: CacheStore
  readonly #classic: CacheStore
  /** Servers without meta commands, by their names. */
  readonly #old = new Set<string>()

  constructor(client: MemcachedClient, leaseSeconds: number, clock: Clock, logger: Logger) {
    this.#client = client
    this.#logger = logger
    this.#meta = new MetaStore(client, leaseSeconds)
    this.#classic = new ClassicStore(client, leaseSeconds, clock)
  }

  /** Whether the item of a key tells its remaining lifetime. */
  tellsTtl(key: string): boolean {
    return this.#storeOf(key).tellsTtl
  }

  /**
   * Looks a key up as `CacheStore.fetch` does. `failed` makes of an error what the lookup comes to: on the way of every read, each promise
   * less counts.
   */
  fetch<Failed>(key: string, request: FetchRequest, failed: (error: unknown) => Failed): Promise<Fetched | Failed> {
    const store = this.#storeOf(key)
    if (store === this.#classic) return store.fetch(key, request, failed)
    return store.fetch(key, request, (error) =>
      this.#retried(key, error, (using) => using.fetch(key, request, failed), failed),
    )
  }

  /** Fills a lease as `CacheStore.fill` does; `failed` makes of an error what it comes to. */
  fill<Failed>(key: string, filling: Filling, failed: (error: unknown) => Failed): Promise<Filled | Failed> {
    const store = this.#storeOf(key)
    if (store === this.#classic) return store.fill(key, filling, failed)
    return store.fill(key, filling, (error) =>
      this.#retried(key, error, (using) => using.fill(key, filling, failed), failed),
    )
  }

  /** Does something with the store of a key; once more where it turns out that its server has no meta commands. */
  use<Result>(key: string, task: (store: CacheStore) => Promise<Result>): Promise<Result> {
    const store = this.#storeOf(key)
    if (store === this.#classic) return task(store)
    return task(store).catch((error: unknown) => {
      if (!(error instanceof MemcacheUnsupportedError)) throw error
      this.#giveUpMeta(key, error)
      return task(this.#classic)
    })
  }

  /** The same by classic commands, where the error says that the server has no others. */
  #retried<Result, Failed>(
    key: string,
    error: unknown,
    task: (store: CacheStore) => Promise<Result>,
    failed: (error: unknown) => Failed,
  ): Promise<Result> | Failed {
    if (!(error instanceof MemcacheUnsupportedError)) return failed(error)
    this.#giveUpMeta(key, error)
    return task(this.#classic)
  }

  #storeOf(key: string): CacheStore {
    if (this.#old.size === 0) return this.#meta
    const server = this.#client.serverOf(key)
    return server !== undefined && this.#old.has(server) ? this.#classic : this.#meta
  }

  #giveUpMeta(key: string, error: MemcacheUnsupportedError): void {
    const server = this.#client.serverOf(key) ?? error.server
    if (server === undefined || this.#old.has(server)) return
    this.#old.add(server)
    this.#logger.warn(
      `memcache-ts: ${server} has no meta commands: leases there by add and cas, markStale() deletes, a miss takes two more round trips; memcached 1.6 has them`,
    )
  }
}
