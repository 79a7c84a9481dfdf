import type { MemcachedClient } from 'memcache-ts-client'
import { KeyPrefix, storedKey } from '../cache-key.ts'
import { newGeneration, TAG_SECONDS, unreadable } from './cache-store.ts'
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
import { LEASE_STUB, STUB_ITEM } from '../values/kit-codec.ts'
import type { EncodedItem } from '../values/kit-codec.ts'
import { lifetime } from '../lifetime.ts'

/**
 * Leases for servers without meta commands: `add` stores the empty item that memcached would create, and `cas` fills
 * it. A miss takes two more round trips. Limitation: `markStale` deletes.
 */
export class ClassicStore implements CacheStore {
  readonly reportsTtl = false
  readonly #client: MemcachedClient
  readonly #leaseSeconds: number

  constructor(client: MemcachedClient, leaseSeconds: number) {
    this.#client = client
    this.#leaseSeconds = leaseSeconds
  }

  fetch<Failed>(
    key: string,
    _request: FetchRequest,
    failed: (error: unknown) => Failed | Promise<Failed | Fetched>,
  ): Promise<Fetched | Failed> {
    return this.#fetch(key).catch((error: unknown) => unreadable(error) ?? failed(error))
  }

  async #fetch(key: string): Promise<Fetched> {
    const found = await this.#client.gets(key)
    if (found !== undefined && found.value !== LEASE_STUB) {
      const { value: stored, casUnique } = found
      const item: StoredItem = { stored, size: 0, casUnique, ttlSeconds: Infinity }
      return { kind: 'found', item, stale: false, claimed: false, lost: false }
    }
    if (found !== undefined) return { kind: 'miss-locked', casUnique: found.casUnique }
    const won = await this.#client.add(key, STUB_ITEM, this.#leaseSeconds)
    if (!won) return { kind: 'miss-locked', casUnique: undefined }
    const stub = await this.#client.gets(key)
    // It was deleted, or filled by another caller, in between.
    return stub?.value === LEASE_STUB
      ? { kind: 'miss-with-lease', casUnique: stub.casUnique }
      : { kind: 'miss-locked', casUnique: undefined }
  }

  async claim(key: string, { casUnique }: StoredItem): Promise<bigint | undefined> {
    const won = await this.#client.add(this.#lockKey(key), '1', this.#leaseSeconds)
    return won ? casUnique : undefined
  }

  fill<Failed>(
    key: string,
    { item, casUnique, ttlSeconds }: Filling,
    failed: (error: unknown) => Failed | Promise<Failed | Filled>,
  ): Promise<Filled | Failed> {
    return this.#client
      .cas(key, item, casUnique, lifetime(ttlSeconds))
      .then((status) => (status === 'stored' ? {} : undefined), failed)
  }

  async set(key: string, item: EncodedItem, ttlSeconds: number) {
    await this.#client.set(key, item, lifetime(ttlSeconds))
    return {}
  }

  async free(key: string, casUnique: bigint): Promise<boolean> {
    const found = await this.#client.gets(key)
    if (found?.casUnique !== casUnique) return false
    return this.#client.delete(key)
  }

  async freeUnfilled(key: string): Promise<void> {
    const found = await this.#client.gets(key)
    if (found?.value === LEASE_STUB) await this.free(key, found.casUnique)
  }

  async renew({ key, casUnique, filled }: RenewedLease): Promise<bigint | undefined> {
    // Usually a value that was stored meanwhile keeps its lifetime. There is no touch that compares cas uniques.
    if (!filled && (await this.#client.gets(key))?.casUnique !== casUnique) return undefined
    const renewed = await this.#client.touch(filled ? this.#lockKey(key) : key, this.#leaseSeconds)
    return renewed ? casUnique : undefined
  }

  async rearm(): Promise<void> {
    // Nothing to do: the lock expires by itself.
  }

  async delete(key: string): Promise<void> {
    await this.#client.delete(key)
  }

  async dropUnreadable(key: string): Promise<void> {
    await this.#client.delete(key)
  }

  /**
   * Replaces the item with an empty one by compare-and-swap before deleting it, so that an item that was changed
   * meanwhile stays.
   */
  async drop(key: string, casUnique: bigint | undefined): Promise<boolean> {
    if (casUnique === undefined) return this.#client.delete(key)
    const isOurs = (await this.#client.cas(key, STUB_ITEM, casUnique, this.#leaseSeconds)) === 'stored'
    if (isOurs) await this.#client.delete(key)
    return isOurs
  }

  async markStale(key: string): Promise<void> {
    await this.#client.delete(key)
  }

  async generation(tagKey: string): Promise<TagGeneration> {
    const initial = newGeneration()
    const generation = (await this.#client.incr(tagKey, 0, { initial, ttl: TAG_SECONDS }))!
    return { generation, made: generation === initial, ageSeconds: undefined }
  }

  async raise(tagKey: string, by: number): Promise<number> {
    const initial = newGeneration()
    return (await this.#client.incr(tagKey, by, { initial, ttl: TAG_SECONDS }))!
  }

  #lockKey(key: string): string {
    return storedKey(`${KeyPrefix.lock}:${key}`, this.#client.prefix)
  }
}
