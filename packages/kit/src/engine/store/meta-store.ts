import type { MemcachedClient, MetaItem, MetaSetResult } from 'memcache-ts-client'
import { MAX_RELATIVE_EXPTIME_SECONDS, MemcacheDecodeError } from 'memcache-ts-protocol'
import type { CacheStore, Fetched, FetchRequest, Filled, Filling, StoredItem, TagGeneration } from './cache-store.ts'
import type { EncodedItem } from '../values/kit-codec.ts'
import { lifetime } from '../lifetime.ts'
import { newGeneration, TAG_SECONDS } from '../invalidate/tag-generation.ts'

/** A second of room, since memcached's seconds and ours need not begin at the same time. */
const GRAIN_SECONDS = 2
/** memcached takes more seconds than 30 days for a Unix time, those of flag R too. */
const MAX_RECACHE_SECONDS = MAX_RELATIVE_EXPTIME_SECONDS

/**
 * The lease on the data key itself (protocol.txt, "Meta Get", flags N, R, W, Z and X): on a miss memcached makes an empty
 * item and tells one caller of all processes that it won; the others see that it is taken. No lock key, no further round
 * trip. The winner fills by compare-and-swap, without flag I: so a value that was loaded before a delete is refused.
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
      (found) =>
        found === undefined ? this.#fetchAgain(key, request).catch(failed) : this.#read(found, request.staleSeconds),
      (error: unknown) => unreadable(error) ?? failed(error),
    )
  }

  async claim(key: string, item: StoredItem): Promise<bigint | undefined> {
    const recacheSeconds = item.ttlSeconds === Infinity ? 1 : item.ttlSeconds + GRAIN_SECONDS
    if (recacheSeconds > MAX_RECACHE_SECONDS) return this.#claimLongLived(key, item)
    const found = await this.#client.meta.get(key, { value: false, recacheSeconds })
    return found?.won === true && found.size > 0 ? found.casUnique : undefined
  }

  /** It is marked stale, as this very item, and then the right is asked for: the first who marks it has it. */
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
    // The right to load a stale value anew has come along, and is not wanted.
    else if (found.won) await this.rearm(key, found.casUnique)
  }

  async renew(key: string, casUnique: bigint, filled: boolean): Promise<bigint | undefined> {
    if (!filled) {
      const found = await this.#client.meta.get(key, { value: false, touchTtl: this.#leaseSeconds })
      return found?.casUnique === casUnique ? casUnique : undefined
    }
    // A claim has no end of its own: it is given up and taken anew, so that the others see that somebody is alive.
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

  /** A value in chunks of which one is gone: its list is taken away, so that the key can be leased. */
  async #fetchAgain(key: string, request: FetchRequest): Promise<Fetched> {
    await this.delete(key)
    const found = await this.#get(key, request)
    return found === undefined ? { kind: 'miss-without-lease' } : this.#read(found, request.staleSeconds)
  }

  #get(key: string, { staleSeconds, value }: FetchRequest): Promise<MetaItem<unknown> | undefined> {
    return this.#client.meta.get(key, {
      value,
      vivifySeconds: this.#leaseSeconds,
      // memcached gives the right when fewer seconds are left than this: at the end of its lifetime a value is stale.
      recacheSeconds: staleSeconds > 0 && staleSeconds < MAX_RECACHE_SECONDS ? staleSeconds + 1 : undefined,
    })
  }

  #read(item: MetaItem<unknown>, staleSeconds: number): Fetched {
    const { casUnique, won, stale, size, ttlSeconds } = item
    if (item.clientFlags === 0 && size === 0) {
      // A lease ends: an empty item that does not is another program's, and is filled as one.
      return won || ttlSeconds === Infinity
        ? { kind: 'miss-with-lease', casUnique }
        : { kind: 'miss-locked', casUnique }
    }
    const isPastEnd = staleSeconds > 0 && ttlSeconds <= staleSeconds
    return {
      kind: 'found',
      item: { stored: item.value, size, casUnique, ttlSeconds },
      stale: stale || isPastEnd,
      claimed: won,
      // memcached knows nothing of it.
      unclaimed: isPastEnd && !stale && staleSeconds >= MAX_RECACHE_SECONDS,
    }
  }
}

function filledBy(result: MetaSetResult): Filled {
  return result.status === 'stored' ? { casUnique: result.casUnique } : undefined
}

/** What a value that cannot be read is, whoever wrote it; `undefined` for any other error. */
export function unreadable(error: unknown): Fetched | undefined {
  return error instanceof MemcacheDecodeError ? { kind: 'unreadable', error } : undefined
}
