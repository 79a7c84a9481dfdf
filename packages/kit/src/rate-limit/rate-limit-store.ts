import type { MemcachedClient } from 'memcache-ts-client'
import type { Ttl } from 'memcache-ts-protocol'

/** Where limits are counted: memcached, or this process while that is away. Keys of one group lie on one server, and are asked for in order. */
export interface RateLimitStore {
  /** Adds to a counter, which is made where there is none, and returns where it stands. */
  incr(key: string, amount: number, ttl: Ttl, groupKey: string): Promise<number>
  /** Takes from a counter, down to 0, and returns where it stands. */
  decr(key: string, amount: number, groupKey: string): Promise<number>
  /** Where a counter stands; 0 where there is none. */
  count(key: string, groupKey: string): Promise<number>
  get(key: string, groupKey: string): Promise<unknown>
  set(key: string, value: unknown, ttl: Ttl, groupKey: string): Promise<void>
  gets(key: string): Promise<{ readonly value: unknown; readonly casUnique: bigint } | undefined>
  /** Stores a value in place of the one that `gets` returned, or of none; returns whether nobody was faster. */
  swap(key: string, value: unknown, casUnique: bigint | undefined, ttl: Ttl): Promise<boolean>
  delete(key: string, groupKey: string): Promise<void>
}

/** Counts in memcached: each one round trip, with meta commands; without, a counter that is new takes two. */
export class MemcachedCounters implements RateLimitStore {
  readonly #client: MemcachedClient

  constructor(client: MemcachedClient) {
    this.#client = client
  }

  incr(key: string, amount: number, ttl: Ttl, groupKey: string): Promise<number> {
    return this.#client.incr(key, amount, { initial: amount, ttl, groupKey }) as Promise<number>
  }

  async decr(key: string, amount: number, groupKey: string): Promise<number> {
    return (await this.#client.decr(key, amount, { groupKey })) ?? 0
  }

  async count(key: string, groupKey: string): Promise<number> {
    // A counter has client flags 0, which are those of bytes; it may be padded with spaces.
    const digits = await this.#client.get(key, { groupKey })
    return Buffer.isBuffer(digits) ? Number(digits.toString('latin1')) : 0
  }

  get(key: string, groupKey: string): Promise<unknown> {
    return this.#client.get(key, { groupKey })
  }

  set(key: string, value: unknown, ttl: Ttl, groupKey: string): Promise<void> {
    return this.#client.set(key, value, ttl, { groupKey })
  }

  gets(key: string): Promise<{ readonly value: unknown; readonly casUnique: bigint } | undefined> {
    return this.#client.gets(key)
  }

  async swap(key: string, value: unknown, casUnique: bigint | undefined, ttl: Ttl): Promise<boolean> {
    if (casUnique === undefined) return this.#client.add(key, value, ttl)
    return (await this.#client.cas(key, value, casUnique, ttl)) === 'stored'
  }

  async delete(key: string, groupKey: string): Promise<void> {
    await this.#client.delete(key, { groupKey })
  }
}
