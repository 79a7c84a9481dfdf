import { unrefTimer } from 'memcache-ts-protocol'
import type { AdaptiveStore } from '../store/adaptive-store.ts'

/** The right to load a key. */
export interface HeldLease {
  readonly key: string
  /** The cas unique of the item that the value replaces; a renewal may change it. */
  casUnique: bigint
  /** Whether the item holds an old value. */
  readonly filled: boolean
}

/** How many times a lease is renewed during `leaseSeconds`. */
const RENEWALS = 3

/**
 * Renews the leases of running loads, so that `leaseSeconds` limits how long others wait for a dead process, not how
 * long a loader may take. One timer serves all leases, and runs only while there are any.
 */
export class LeaseKeeper {
  readonly #store: AdaptiveStore
  readonly #intervalMs: number
  readonly #leases = new Map<HeldLease, { readonly sinceMs: number; readonly untilMs: number }>()
  /** The renewals that are under way. */
  readonly #renewals = new Map<HeldLease, Promise<void>>()
  #timer: NodeJS.Timeout | undefined

  constructor(store: AdaptiveStore, leaseSeconds: number) {
    this.#store = store
    this.#intervalMs = (leaseSeconds * 1000) / RENEWALS
  }

  /**
   * @param forMs how long the lease is renewed if it is not released; then other processes may try, since this load may
   *   hang.
   */
  keep(lease: HeldLease, forMs: number): void {
    const sinceMs = performance.now()
    this.#leases.set(lease, { sinceMs, untilMs: sinceMs + forMs })
    if (this.#timer !== undefined) return
    this.#timer = unrefTimer(setInterval(() => this.#renewDue(), this.#intervalMs))
  }

  /**
   * Ends the renewals of a lease, before it is filled or freed. If a renewal is under way, the result is a promise of
   * its end: until then the lease's cas unique is not known.
   */
  release(lease: HeldLease): Promise<void> | undefined {
    this.#leases.delete(lease)
    return this.#renewals.get(lease)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#leases.clear()
  }

  #renewDue(): void {
    if (this.#leases.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
      return
    }
    // Leases younger than half an interval are renewed in the next round.
    const nowMs = performance.now()
    for (const [lease, { sinceMs, untilMs }] of this.#leases) {
      if (nowMs > untilMs) this.#leases.delete(lease)
      else if (sinceMs <= nowMs - this.#intervalMs / 2) this.#begin(lease)
    }
  }

  /** Begins a renewal, unless the last one has not ended. */
  #begin(lease: HeldLease): void {
    if (this.#renewals.has(lease)) return
    const renewal = this.#renew(lease).finally(() => this.#renewals.delete(lease))
    this.#renewals.set(lease, renewal)
  }

  async #renew(lease: HeldLease): Promise<void> {
    try {
      const casUnique = await this.#store.use(lease.key, (store) => store.renew(lease))
      if (casUnique === undefined) this.#leases.delete(lease)
      else lease.casUnique = casUnique
    } catch {
      // The cache is away. The next round tries again, and the fill finds out whether the lease was lost.
    }
  }
}
