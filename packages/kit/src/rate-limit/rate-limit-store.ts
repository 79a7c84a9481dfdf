import type { MemcachedClient } from 'memcache-ts-client'
import { dropForeign, isForeign } from '../engine/engine.ts'
import type { Ttl } from 'memcache-ts-protocol'

/**
 * The storage of limits: memcached, or this process while memcached is away. Keys of one group are on one server, and
 * their requests are executed in order.
 */
export interface RateLimitStore {
  /** Adds to a counter, which is created if it does not exist, and returns its new value. */
  incr(key: string, amount: number, ttl: Ttl, groupKey: string): Promise<number>
  /** Subtracts from a counter, down to 0, and returns its new value. */
  decr(key: string, amount: number, groupKey: string): Promise<number>
  /** Returns a counter's value; 0 if it does not exist. */
  count(key: string, groupKey: string): Promise<number>
  get(key: string, groupKey: string): Promise<unknown>
  set(key: string, value: unknown, ttl: Ttl, groupKey: string): Promise<void>
  gets(key: string, groupKey: string): Promise<{ readonly value: unknown; readonly casUnique: bigint } | undefined>
  /** Stores a value by compare-and-swap against the result of `gets`, or if none exists; returns whether it was stored. */
  swap(key: string, value: unknown, casUnique: bigint | undefined, ttl: Ttl, groupKey: string): Promise<boolean>
  delete(key: string, groupKey: string): Promise<void>
  /**
   * Adds to a counter of 64 bits, also a negative amount, and returns its new value; without `initial`, a miss is
   * `undefined`.
   */
  addToWord(key: string, delta: bigint, initial: bigint, ttl: Ttl, groupKey: string): Promise<bigint>
  addToWord(
    key: string,
    delta: bigint,
    initial: bigint | undefined,
    ttl: Ttl,
    groupKey: string,
  ): Promise<bigint | undefined>
  /** Returns a counter of 64 bits; a miss is `undefined`. */
  getsWord(key: string, groupKey: string): Promise<StoredWord | undefined>
  /** Like `swap`, for a counter of 64 bits. */
  swapWord(key: string, word: bigint, casUnique: bigint, ttl: Ttl, groupKey: string): Promise<boolean>
}

/** A counter of 64 bits as it is stored. */
export interface StoredWord {
  readonly word: bigint
  readonly casUnique: bigint
}

/**
 * Counts in memcached, in one round trip with meta commands; without them, a new counter takes two. What another
 * program has stored under a key of a limit counts as nothing, and is replaced.
 */
export class MemcachedCounters implements RateLimitStore {
  readonly #client: MemcachedClient

  constructor(client: MemcachedClient) {
    this.#client = client
  }

  incr(key: string, amount: number, ttl: Ttl, groupKey: string): Promise<number> {
    const adding = (): Promise<number | undefined> => this.#client.incr(key, amount, { initial: amount, ttl, groupKey })
    return this.#replacing(key, groupKey, adding) as Promise<number>
  }

  async decr(key: string, amount: number, groupKey: string): Promise<number> {
    return (await this.#replacing(key, groupKey, () => this.#client.decr(key, amount, { groupKey }))) ?? 0
  }

  async count(key: string, groupKey: string): Promise<number> {
    return Number(digitsOf(await this.get(key, groupKey)) ?? 0)
  }

  get(key: string, groupKey: string): Promise<unknown> {
    return this.#replacing(key, groupKey, () => this.#client.get(key, { groupKey }))
  }

  set(key: string, value: unknown, ttl: Ttl, groupKey: string): Promise<void> {
    return this.#client.set(key, value, ttl, { groupKey })
  }

  gets(key: string, groupKey: string): Promise<{ readonly value: unknown; readonly casUnique: bigint } | undefined> {
    return this.#replacing(key, groupKey, () => this.#client.gets(key, { groupKey }))
  }

  async swap(key: string, value: unknown, casUnique: bigint | undefined, ttl: Ttl, groupKey: string): Promise<boolean> {
    if (casUnique === undefined) return this.#client.add(key, value, ttl, { groupKey })
    return (await this.#client.cas(key, value, casUnique, ttl, { groupKey })) === 'stored'
  }

  addToWord(
    key: string,
    delta: bigint,
    initial: bigint | undefined,
    ttl: Ttl,
    groupKey: string,
  ): Promise<bigint | undefined>
  addToWord(key: string, delta: bigint, initial: bigint, ttl: Ttl, groupKey: string): Promise<bigint>
  addToWord(
    key: string,
    delta: bigint,
    initial: bigint | undefined,
    ttl: Ttl,
    groupKey: string,
  ): Promise<bigint | undefined> {
    return this.#replacing(key, groupKey, () =>
      delta < 0n
        ? this.#client.decr(key, -delta, { groupKey })
        : this.#client.incr(key, delta, { initial, ttl, groupKey }),
    )
  }

  async getsWord(key: string, groupKey: string): Promise<StoredWord | undefined> {
    const item = await this.gets(key, groupKey)
    const digits = digitsOf(item?.value)
    return item === undefined || digits === undefined ? undefined : { word: BigInt(digits), casUnique: item.casUnique }
  }

  async swapWord(key: string, word: bigint, casUnique: bigint, ttl: Ttl, groupKey: string): Promise<boolean> {
    const digits = Buffer.from(String(word), 'latin1')
    return (await this.#client.cas(key, digits, casUnique, ttl, { groupKey })) === 'stored'
  }

  async delete(key: string, groupKey: string): Promise<void> {
    await this.#client.delete(key, { groupKey })
  }

  /** Carries out a command, and again without the item if another program has stored it. */
  async #replacing<Result>(key: string, groupKey: string, command: () => Promise<Result>): Promise<Result> {
    try {
      return await command()
    } catch (error) {
      if (!isForeign(error)) throw error
    }
    await dropForeign(this.#client, key, { groupKey })
    return command()
  }
}

/**
 * Returns the digits of a counter; `undefined` for anything else. A counter has client flags 0, like bytes, and may be
 * padded with spaces; memcached also counts in text that another program has stored.
 */
function digitsOf(value: unknown): string | undefined {
  const isText = typeof value === 'string' || typeof value === 'number'
  if (!isText && !Buffer.isBuffer(value)) return undefined
  const digits = (isText ? String(value) : value.toString('latin1')).trim()
  return /^\d+$/.test(digits) ? digits : undefined
}
