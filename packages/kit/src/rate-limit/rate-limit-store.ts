import type { MemcachedClient } from 'memcache-ts-client'
import { dropForeign, isForeign } from '../engine/engine.ts'
import type { Ttl } from 'memcache-ts-protocol'

/** A stored key, and the key that selects the server for all keys of its group. */
export interface GroupedKey {
  readonly key: string
  readonly groupKey: string
}

/** Returns a key that is a group of its own. */
export function aloneKey(key: string): GroupedKey {
  return { key, groupKey: key }
}

/** A value that replaces the one with this cas unique; without the cas unique, there must be none. */
export interface SwappedValue {
  readonly value: unknown
  readonly casUnique: bigint | undefined
}

/** An amount for a counter of 64 bits, also a negative one; without `initial`, a missing counter is not created. */
export interface WordChange {
  readonly delta: bigint
  readonly initial?: bigint | undefined
}

/**
 * The storage of limits: memcached, or this process while memcached is away. Keys of one group are on one server, and
 * their requests are executed in order.
 */
export interface RateLimitStore {
  /** Adds to a counter, which is created if it does not exist, and returns its new value. */
  incr(key: GroupedKey, amount: number, ttl: Ttl): Promise<number>
  /** Subtracts from a counter, down to 0, and returns its new value. */
  decr(key: GroupedKey, amount: number): Promise<number>
  /** Returns a counter's value; 0 if it does not exist. */
  count(key: GroupedKey): Promise<number>
  get(key: GroupedKey): Promise<unknown>
  set(key: GroupedKey, value: unknown, ttl: Ttl): Promise<void>
  gets(key: GroupedKey): Promise<{ readonly value: unknown; readonly casUnique: bigint } | undefined>
  /** Stores a value by compare-and-swap against the result of `gets`, or if none exists; returns whether it was stored. */
  swap(key: GroupedKey, swapped: SwappedValue, ttl: Ttl): Promise<boolean>
  delete(key: GroupedKey): Promise<void>
  /** Adds to a counter of 64 bits, and returns its new value; without `initial`, a miss is `undefined`. */
  addToWord(key: GroupedKey, change: WordChange & { readonly initial: bigint }, ttl: Ttl): Promise<bigint>
  addToWord(key: GroupedKey, change: WordChange, ttl: Ttl): Promise<bigint | undefined>
  /** Returns a counter of 64 bits; a miss is `undefined`. */
  getsWord(key: GroupedKey): Promise<StoredWord | undefined>
  /** Like `swap`, for a counter of 64 bits. */
  swapWord(key: GroupedKey, swapped: StoredWord, ttl: Ttl): Promise<boolean>
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

  incr(at: GroupedKey, amount: number, ttl: Ttl): Promise<number> {
    const { key, groupKey } = at
    const adding = (): Promise<number | undefined> => this.#client.incr(key, amount, { initial: amount, ttl, groupKey })
    return this.#replacing(at, adding) as Promise<number>
  }

  async decr(at: GroupedKey, amount: number): Promise<number> {
    const { key, groupKey } = at
    return (await this.#replacing(at, () => this.#client.decr(key, amount, { groupKey }))) ?? 0
  }

  async count(at: GroupedKey): Promise<number> {
    return Number(digitsOf(await this.get(at)) ?? 0)
  }

  get(at: GroupedKey): Promise<unknown> {
    const { key, groupKey } = at
    return this.#replacing(at, () => this.#client.get(key, { groupKey }))
  }

  set({ key, groupKey }: GroupedKey, value: unknown, ttl: Ttl): Promise<void> {
    return this.#client.set(key, value, ttl, { groupKey })
  }

  gets(at: GroupedKey): Promise<{ readonly value: unknown; readonly casUnique: bigint } | undefined> {
    const { key, groupKey } = at
    return this.#replacing(at, () => this.#client.gets(key, { groupKey }))
  }

  async swap({ key, groupKey }: GroupedKey, { value, casUnique }: SwappedValue, ttl: Ttl): Promise<boolean> {
    if (casUnique === undefined) return this.#client.add(key, value, ttl, { groupKey })
    return (await this.#client.cas(key, value, casUnique, ttl, { groupKey })) === 'stored'
  }

  addToWord(at: GroupedKey, change: WordChange, ttl: Ttl): Promise<bigint | undefined>
  addToWord(at: GroupedKey, change: WordChange & { readonly initial: bigint }, ttl: Ttl): Promise<bigint>
  addToWord(at: GroupedKey, { delta, initial }: WordChange, ttl: Ttl): Promise<bigint | undefined> {
    const { key, groupKey } = at
    return this.#replacing(at, () =>
      delta < 0n
        ? this.#client.decr(key, -delta, { groupKey })
        : this.#client.incr(key, delta, { initial, ttl, groupKey }),
    )
  }

  async getsWord(at: GroupedKey): Promise<StoredWord | undefined> {
    const item = await this.gets(at)
    const digits = digitsOf(item?.value)
    return item === undefined || digits === undefined ? undefined : { word: BigInt(digits), casUnique: item.casUnique }
  }

  async swapWord({ key, groupKey }: GroupedKey, { word, casUnique }: StoredWord, ttl: Ttl): Promise<boolean> {
    const digits = Buffer.from(String(word), 'latin1')
    return (await this.#client.cas(key, digits, casUnique, ttl, { groupKey })) === 'stored'
  }

  async delete({ key, groupKey }: GroupedKey): Promise<void> {
    await this.#client.delete(key, { groupKey })
  }

  /** Carries out a command, and again without the item if another program has stored it. */
  async #replacing<Result>({ key, groupKey }: GroupedKey, command: () => Promise<Result>): Promise<Result> {
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
