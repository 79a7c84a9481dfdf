import type { MemcachedClient } from 'memcache-ts-client'
import { MemcacheUnsupportedError } from 'memcache-ts-protocol'
import type { Logger } from '../../logger.ts'
import type { CacheStore, Fetched, FetchRequest, Filled, Filling } from './cache-store.ts'
import { ClassicStore } from './classic-store.ts'
import { MetaStore } from './meta-store.ts'

/** Selects the store for the server of a key: meta commands, unless that server turned out not to support them. */
export class AdaptiveStore {
  readonly #client: MemcachedClient
  readonly #logger: Logger
  readonly #meta: CacheStore
  readonly #classic: CacheStore
  /** The names of servers without meta commands. */
  readonly #old = new Set<string>()

  constructor(client: MemcachedClient, leaseSeconds: number, logger: Logger) {
    this.#client = client
    this.#logger = logger
    this.#meta = new MetaStore(client, leaseSeconds)
    this.#classic = new ClassicStore(client, leaseSeconds)
  }

  /** Returns whether the server of a key tells the remaining lifetime of items. */
  tellsTtl(key: string): boolean {
    return this.#storeOf(key).tellsTtl
  }

  /**
   * Looks up a key as `CacheStore.fetch` does. `failed` turns an error into a result; it is a callback because every
   * read passes here and each promise costs.
   */
  fetch<Failed>(key: string, request: FetchRequest, failed: (error: unknown) => Failed): Promise<Fetched | Failed> {
    const store = this.#storeOf(key)
    if (store === this.#classic) return store.fetch(key, request, failed)
    return store.fetch(key, request, (error) =>
      this.#retried(key, error, (using) => using.fetch(key, request, failed), failed),
    )
  }

  /** Fills a lease as `CacheStore.fill` does; `failed` turns an error into a result. */
  fill<Failed>(key: string, filling: Filling, failed: (error: unknown) => Failed): Promise<Filled | Failed> {
    const store = this.#storeOf(key)
    if (store === this.#classic) return store.fill(key, filling, failed)
    return store.fill(key, filling, (error) =>
      this.#retried(key, error, (using) => using.fill(key, filling, failed), failed),
    )
  }

  /**
   * Runs a task with the store of a key, and again with classic commands if its server turns out not to support meta
   * commands.
   */
  use<Result>(key: string, task: (store: CacheStore) => Promise<Result>): Promise<Result> {
    const store = this.#storeOf(key)
    if (store === this.#classic) return task(store)
    return task(store).catch((error: unknown) => {
      if (!(error instanceof MemcacheUnsupportedError)) throw error
      this.#giveUpMeta(key, error)
      return task(this.#classic)
    })
  }

  /** Runs a task again with classic commands if the error says that the server does not support meta commands. */
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
      `memcache-ts: ${server} has no meta commands: leases use add and cas there, markStale() deletes, and a miss takes two more round trips; memcached 1.6 supports them`,
    )
  }
}
