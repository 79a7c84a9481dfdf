import type { MemcachedClient, MetaItem, MetaSetResult } from 'memcache-ts-client'
import { MAX_RELATIVE_EXPTIME_SECONDS, MemcacheDecodeError } from 'memcache-ts-protocol'
import type { CacheStore, Fetched, FetchRequest, Filled, Filling, StoredItem, TagGeneration } from './cache-store.ts'
import type { EncodedItem } from '../values/kit-codec.ts'
import { lifetime, MAX_ROUNDING_SECONDS } from '../lifetime.ts'
import { newGeneration, TAG_SECONDS } from '../invalidate/tag-generation.ts'

/** memcached takes a number over 30 days for a Unix time, also in flag R. */
const MAX_RECACHE_SECONDS = MAX_RELATIVE_EXPTIME_SECONDS

/**
 * Leases on the data keys (protocol.txt, "Meta Get", flags N, R, W, Z and X). On a miss, memcached creates an empty
 * item and tells one caller of all processes that it won (W); the others are told that it did (Z). This needs no lock
 * key and no further round trip. The lease holder fills the item by compare-and-swap without flag I, so a value that
 * was loaded before a delete is refused.
 */
export class MetaStore implements CacheStore {
  readonly tellsTtl = true
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
      (found) => (found === undefined ? this.#fetchAgain(key, request).catch(failed) : fetchedFrom(found)),
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

  async renew(key: string, casUnique: bigint, filled: boolean): Promise<bigint | undefined> {
    if (!filled) {
      const found = await this.#client.meta.get(key, { value: false, touchTtl: this.#leaseSeconds })
      return found?.casUnique === casUnique ? casUnique : undefined
    }
    // A claim has no lifetime: it is released and taken again, so that others see a new cas unique.
    await this.rearm(key, casUnique)
    const found = await this.#client.meta.get(key, { value: false })
    return found?.won === true ? found.casUnique : undefined
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
    return found === undefined ? { kind: 'miss-without-lease' } : fetchedFrom(found)
  }

  #get(key: string, { value }: FetchRequest): Promise<MetaItem<unknown> | undefined> {
    return this.#client.meta.get(key, { value, vivifySeconds: this.#leaseSeconds })
  }
}

function fetchedFrom(item: MetaItem<unknown>): Fetched {
  const { casUnique, won, lost, stale, size, ttlSeconds } = item
  if (item.clientFlags === 0 && size === 0) {
    // Leases expire. An empty item that does not expire comes from another program, and is filled like a lease.
    return won || ttlSeconds === Infinity ? { kind: 'miss-with-lease', casUnique } : { kind: 'miss-locked', casUnique }
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

/** Returns the fetch result for a value that cannot be decoded; `undefined` for any other error. */
export function unreadable(error: unknown): Fetched | undefined {
  return error instanceof MemcacheDecodeError ? { kind: 'unreadable', error } : undefined
}
