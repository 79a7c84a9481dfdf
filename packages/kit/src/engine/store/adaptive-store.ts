import type { MemcachedClient, MetaItem, MetaSetResult } from 'memcache-ts-client'
import { MAX_RELATIVE_EXPTIME_SECONDS, MemcacheUnsupportedError } from 'memcache-ts-protocol'
import type { Logger } from '../../logger.ts'
import type {
  CacheStore,
  Fetched,
  FetchRequest,
  Filled,
  Filling,
  RenewedLease,
  StoredItem,
  TagGeneration,
} from './cache-store.ts'
import { newGeneration, TAG_SECONDS, unreadable } from './cache-store.ts'
import { ClassicStore } from './classic-store.ts'
import { STUB_ITEM } from '../values/kit-codec.ts'
import type { EncodedItem } from '../values/kit-codec.ts'
import { lifetime, MAX_ROUNDING_SECONDS } from '../lifetime.ts'

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

  /** Returns whether the server of a key reports the remaining lifetime of items. */
  reportsTtl(key: string): boolean {
    return this.#storeOf(key).reportsTtl
  }

  /**
   * Looks up a key as `CacheStore.fetch` does. `failed` turns an error into a result; it is a callback because every
   * read passes here and each promise costs.
   */
  fetch<Failed>(key: string, request: FetchRequest, failed: (error: unknown) => Failed): Promise<Fetched | Failed> {
    const store = this.#storeOf(key)
    if (store === this.#classic) return store.fetch(key, request, failed)
    return store.fetch(key, request, (error) =>
      this.#retried(key, error, { task: (using) => using.fetch(key, request, failed), failed }),
    )
  }

  /** Fills a lease as `CacheStore.fill` does; `failed` turns an error into a result. */
  fill<Failed>(key: string, filling: Filling, failed: (error: unknown) => Failed): Promise<Filled | Failed> {
    const store = this.#storeOf(key)
    if (store === this.#classic) return store.fill(key, filling, failed)
    return store.fill(key, filling, (error) =>
      this.#retried(key, error, { task: (using) => using.fill(key, filling, failed), failed }),
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
    { task, failed }: Attempt<Result, Failed>,
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

/** A task with a store, and the result of its failure. */
interface Attempt<Result, Failed> {
  readonly task: (store: CacheStore) => Promise<Result>
  readonly failed: (error: unknown) => Failed
}

/** memcached takes a number over 30 days for a Unix time, also in flag R. */
const MAX_RECACHE_SECONDS = MAX_RELATIVE_EXPTIME_SECONDS

/**
 * Leases on the data keys (protocol.txt, "Meta Get", flags N, R, W, Z and X). On a miss, memcached creates an empty
 * item, and one caller of all processes gets the flag W, the others Z. This needs no lock key and no further round
 * trip. The lease holder fills the item by compare-and-swap without flag I, so a value that was loaded before a delete
 * is refused.
 */
class MetaStore implements CacheStore {
  readonly reportsTtl = true
  readonly #client: MemcachedClient
  readonly #leaseSeconds: number

  constructor(client: MemcachedClient, leaseSeconds: number) {
    this.#client = client
    this.#leaseSeconds = leaseSeconds
  }

  fetch<Failed>(
    key: string,
    request: FetchRequest,
    failed: (error: unknown) => Failed | Promise<Failed | Fetched>,
  ): Promise<Fetched | Failed> {
    return this.#get(key, request).then(
      (found) =>
        found === undefined ? this.#fetchAgain(key, request).catch(failed) : fetchedFrom(found, this.#leaseSeconds),
      (error: unknown) => unreadable(error) ?? failed(error),
    )
  }

  async claim(key: string, item: StoredItem): Promise<bigint | undefined> {
    const recacheSeconds = item.ttlSeconds === Infinity ? 1 : item.ttlSeconds + MAX_ROUNDING_SECONDS
    if (recacheSeconds > MAX_RECACHE_SECONDS) return this.#claimLongLived(key, item)
    const found = await this.#client.meta.get(key, { value: false, recacheSeconds })
    return found?.won === true && found.size > 0 ? found.casUnique : undefined
  }

  /**
   * Claims an item whose remaining lifetime is too long for flag R: marks it stale by compare-and-swap, then gets it.
   * The first caller that marks it wins.
   */
  async #claimLongLived(key: string, { casUnique }: StoredItem): Promise<bigint | undefined> {
    const marked = await this.#client.meta.delete(key, { invalidate: true, compareCas: casUnique })
    if (marked !== 'deleted') return undefined
    const found = await this.#client.meta.get(key, { value: false })
    return found?.won === true && found.size > 0 ? found.casUnique : undefined
  }

  fill<Failed>(
    key: string,
    { item, casUnique, ttlSeconds }: Filling,
    failed: (error: unknown) => Failed | Promise<Failed | Filled>,
  ): Promise<Filled | Failed> {
    return this.#client.meta.set(key, item, { ttl: lifetime(ttlSeconds), compareCas: casUnique }).then(filledBy, failed)
  }

  async set(key: string, item: EncodedItem, ttlSeconds: number) {
    const { casUnique } = await this.#client.meta.set(key, item, { ttl: lifetime(ttlSeconds) })
    return { casUnique }
  }

  async free(key: string, casUnique: bigint): Promise<boolean> {
    return (await this.#client.meta.delete(key, { compareCas: casUnique })) === 'deleted'
  }

  async freeUnfilled(key: string): Promise<void> {
    const found = await this.#client.meta.get(key, { value: false })
    if (found === undefined) return
    if (found.size === 0 && found.clientFlags === 0) await this.free(key, found.casUnique)
    // The get has won the right to reload a stale value, which is given back.
    else if (found.won) await this.rearm(key, found.casUnique)
  }

  async renew({ key, casUnique, filled }: RenewedLease): Promise<bigint | undefined> {
    if (!filled) {
      // By compare-and-swap: a touch would shorten the lifetime of a value that was stored meanwhile.
      const { status, casUnique: renewed } = await this.#client.meta.set(key, STUB_ITEM, {
        ttl: this.#leaseSeconds,
        compareCas: casUnique,
      })
      return status === 'stored' ? renewed : undefined
    }
    // A claim has no lifetime: it is released and taken again, so that others see a new cas unique. Both requests are
    // sent at once, so that no invalidation comes between them: the claim would hide it from the fill.
    const [rearmed, found] = await Promise.all([
      this.#client.meta.delete(key, { invalidate: true, compareCas: casUnique }),
      this.#client.meta.get(key, { value: false }),
    ])
    if (found?.won !== true) return undefined
    if (rearmed === 'deleted') return found.casUnique
    // The claim was lost, and this one is of a later stale value, which must not be replaced by an earlier load.
    await this.rearm(key, found.casUnique)
    return undefined
  }

  async rearm(key: string, casUnique: bigint): Promise<void> {
    await this.#client.meta.delete(key, { invalidate: true, compareCas: casUnique })
  }

  async delete(key: string): Promise<void> {
    await this.#client.meta.delete(key)
  }

  async dropUnreadable(key: string): Promise<void> {
    const found = await this.#client.meta.get(key, { value: false })
    if (found === undefined || (found.size === 0 && found.clientFlags === 0)) return
    await this.drop(key, found.casUnique)
  }

  async drop(key: string, casUnique: bigint | undefined): Promise<boolean> {
    return (await this.#client.meta.delete(key, { compareCas: casUnique })) === 'deleted'
  }

  async markStale(key: string): Promise<void> {
    await this.#client.meta.delete(key, { invalidate: true })
  }

  async generation(tagKey: string): Promise<TagGeneration> {
    const initial = newGeneration()
    const counter = await this.#client.meta.arithmetic(tagKey, { delta: 0, initial, vivifyTtl: TAG_SECONDS })
    const { value, ttlSeconds } = counter!
    return { generation: value, made: value === initial, ageSeconds: TAG_SECONDS - ttlSeconds }
  }

  async raise(tagKey: string, by: number): Promise<number> {
    const counter = await this.#client.meta.arithmetic(tagKey, {
      delta: by,
      initial: newGeneration(),
      vivifyTtl: TAG_SECONDS,
      ttl: TAG_SECONDS,
    })
    return counter!.value
  }

  /** Handles a value in chunks of which one is missing: deletes its chunk list, so that the key can be leased. */
  async #fetchAgain(key: string, request: FetchRequest): Promise<Fetched> {
    await this.delete(key)
    const found = await this.#get(key, request)
    return found === undefined ? { kind: 'miss-without-lease' } : fetchedFrom(found, this.#leaseSeconds)
  }

  #get(key: string, { value }: FetchRequest): Promise<MetaItem<unknown> | undefined> {
    return this.#client.meta.get(key, { value, vivifySeconds: this.#leaseSeconds })
  }
}

/**
 * How many times as long as its own leases a process lets those of others be, which may have been started with another
 * `leaseSeconds`.
 */
const MAX_LEASE_RATIO = 4

function fetchedFrom(item: MetaItem<unknown>, leaseSeconds: number): Fetched {
  const { casUnique, won, lost, stale, size, ttlSeconds } = item
  if (item.clientFlags === 0 && size === 0) {
    // Leases expire soon. Another empty item comes from another program, and is filled like a lease.
    const isForeign = ttlSeconds > leaseSeconds * MAX_LEASE_RATIO
    return won || isForeign ? { kind: 'miss-with-lease', casUnique } : { kind: 'miss-locked', casUnique }
  }
  return {
    kind: 'found',
    item: { stored: item.value, size, casUnique, ttlSeconds },
    stale,
    claimed: won,
    lost,
  }
}

function filledBy(result: MetaSetResult): Filled {
  return result.status === 'stored' ? { casUnique: result.casUnique } : undefined
}
