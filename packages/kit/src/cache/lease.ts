import { setTimeout as delay } from 'node:timers/promises'
import type { MemcachedClient, MetaItem } from 'memcache-ts-client'

const FIRST_POLL_MS = 2
const POLL_GROWTH = 1.6
const LONGEST_POLL_MS = 25

/** What a fetch under a lease found. */
export type LeaseOutcome =
  /** A value. */
  | { readonly kind: 'hit'; readonly value: unknown }
  /** Nothing: this caller is the one to load, and to `fill` or `free` with its cas unique. */
  | { readonly kind: 'won'; readonly casUnique: bigint }
  /** Nothing, and who should have loaded has not in time: load, but keep it to yourself. */
  | { readonly kind: 'overdue' }

/**
 * The lease on the data key itself (protocol.txt, "Meta Get", flags N, W and Z): on a miss memcached makes an empty item
 * and tells one caller of all processes that it won; the others see that it is taken. No lock key, no further round
 * trip. The winner fills by compare-and-swap, so that a value loaded before a delete is refused afterwards.
 *
 *   miss → won → fill, or free after an error
 *        ↘ taken: poll until there is a value, or it is ours to load (the winner died, and its lease ran out)
 */
export class Lease {
  readonly #client: MemcachedClient
  readonly #leaseSeconds: number

  constructor(client: MemcachedClient, leaseSeconds: number) {
    this.#client = client
    this.#leaseSeconds = leaseSeconds
  }

  /** Looks a key up; where another caller is loading it, waits for its value. */
  async fetch(key: string, signal: AbortSignal): Promise<LeaseOutcome> {
    const deadline = performance.now() + this.#leaseSeconds * 1000
    let pauseMs = FIRST_POLL_MS
    for (;;) {
      const outcome = read(await this.take(key))
      if (outcome !== undefined) return outcome
      if (performance.now() >= deadline) return { kind: 'overdue' }
      // Half of it is chance, so that the processes that wait do not ask in step.
      await delay(pauseMs * (0.5 + Math.random()), undefined, { signal, ref: true })
      pauseMs = Math.min(LONGEST_POLL_MS, pauseMs * POLL_GROWTH)
    }
  }

  /** Looks a key up once, taking the lease on a miss. */
  take(key: string): Promise<MetaItem<unknown> | undefined> {
    return this.#client.meta.get(key, { vivifySeconds: this.#leaseSeconds })
  }

  /** Gives the lease back without a value: the next caller loads at once. */
  async free(key: string, casUnique: bigint): Promise<void> {
    await this.#client.meta.delete(key, { compareCas: casUnique })
  }
}

/** What an item means; `undefined` when another caller is loading it. */
export function read(item: MetaItem<unknown> | undefined): LeaseOutcome | undefined {
  // Without an item there was no memory even for the lease: everybody loads for himself.
  if (item === undefined) return { kind: 'overdue' }
  const isStub = item.clientFlags === 0 && item.size === 0
  if (!isStub && !item.won) return { kind: 'hit', value: item.value }
  if (item.won) return { kind: 'won', casUnique: item.casUnique }
  return undefined
}
