import { checkOptions, MemcacheLimitError, MemcacheOptionError } from 'memcache-ts-protocol'
import { getDefaultMemcache } from '../default-memcache.ts'
import type { Memcache } from '../memcache.ts'
import { onAbort, ownKey, reasonOf, throwIfAborted } from '../engine/engine.ts'
import { requireSignal } from '../option-types.ts'
import { checkWaitMs, resolveConcurrencyOptions } from './concurrency-options.ts'
import type { AcquireOptions, ConcurrencyOptions, ResolvedConcurrencyOptions } from './concurrency-options.ts'
import { ConcurrencyRoom } from './concurrency-room.ts'
import type { Occupant, RoomHost, TurnResult } from './concurrency-room.ts'
import type { ConcurrencyRules, ConcurrencyTurn } from './concurrency-state.ts'
import { Insurance } from './insurance.ts'
import { LocalCounters } from './local-counters.ts'
import { callAt } from './ready-queue.ts'
import { MemcachedCounters } from './rate-limit-store.ts'
import type { RateLimitStore } from './rate-limit-store.ts'

/**
 * The time for which the place of a waiting process is kept without a poll: many poll intervals. The place of a killed
 * process is free after it.
 */
const WAIT_LEASE_MS = 3000

const INSTEAD = {
  local: 'counted in this process',
  open: 'letting everything pass',
  closed: 'denying everything',
} as const

/** A slot, from `acquire` until it is released. */
export interface Slot extends AsyncDisposable {
  /**
   * Aborts if the slot was given to another call, because this process was suspended and did not renew it within
   * `leaseMs`.
   */
  readonly signal: AbortSignal
  /** Gives the slot back; resolves when this is stored. May be called more than once, and never rejects. */
  release(): Promise<void>
}

/**
 * Limits how many calls run at the same time for an id, in all processes that share a memcached. A slot is a lease that
 * this process renews: if the process is killed, its slots are free when their leases end. Waiting calls of all
 * processes get slots in their order.
 */
export class ConcurrencyLimiter {
  readonly name: string
  readonly max: number
  readonly #options: ResolvedConcurrencyOptions
  readonly #rules: ConcurrencyRules
  readonly #insurance: Insurance
  readonly #rooms = new Map<string, ConcurrencyRoom>()
  #cache: Memcache | undefined
  #store: RateLimitStore | undefined

  /** Use `concurrency()`. */
  constructor(options: ConcurrencyOptions) {
    this.#options = resolveConcurrencyOptions(options)
    const { name, max, queue, leaseMs, onCacheDown } = this.#options
    this.name = name
    this.max = max
    this.#rules = { max, queue, leaseMs, waitLeaseMs: WAIT_LEASE_MS }
    this.#insurance = new Insurance(name, INSTEAD[onCacheDown])
  }

  /**
   * Waits for a slot of `id`, as long as `waitMs` and `queue` allow.
   *
   * @example
   *   await using slot = await limiter.acquire(userId)
   *
   * @throws MemcacheLimitError if no slot becomes free in time, and the signal's reason if it aborts.
   * @throws MemcacheOptionError if the id is not a string, or an option is unknown or invalid.
   */
  async acquire(id: string, options: AcquireOptions = {}): Promise<Slot> {
    const slot = await this.#acquire(id, options)
    if (slot !== undefined) return slot
    throw new MemcacheLimitError(
      `all ${this.max} slots of the concurrency limit '${this.name}' are taken: try again later, or raise max, queue or waitMs`,
      {
        retryable: true,
      },
    )
  }

  /**
   * Returns a slot of `id` if a slot is free now; otherwise `undefined`.
   *
   * @throws MemcacheOptionError if the id is not a string.
   */
  async tryAcquire(id: string): Promise<Slot | undefined> {
    return this.#acquire(id, { waitMs: 0 })
  }

  /**
   * Runs a function while it holds a slot of `id`.
   *
   * @throws the errors of `acquire` and of the function.
   */
  async run<Result>(
    id: string,
    run: (slot: Slot) => Result | Promise<Result>,
    options?: AcquireOptions,
  ): Promise<Result> {
    const slot = await this.acquire(id, options)
    try {
      return await run(slot)
    } finally {
      await slot.release()
    }
  }

  async #acquire(id: string, options: AcquireOptions): Promise<Slot | undefined> {
    checkOptions('acquire', options, { names: ['waitMs', 'signal'], hints: { timeout: 'waitMs', timeoutMs: 'waitMs' } })
    const { waitMs = this.#options.waitMs, signal } = options
    checkWaitMs(waitMs)
    if (typeof id !== 'string') {
      throw new MemcacheOptionError(`the id must be a string, got ${id === null ? 'null' : typeof id}`)
    }
    requireSignal('acquire', signal)
    throwIfAborted(signal)
    const { clock } = this.#opened()
    const room = this.#room(id)
    const token = ConcurrencyRoom.token()
    const lost = new AbortController()
    return new Promise((resolve, reject) => {
      const cleanups: (() => void)[] = []
      const end = (settle: () => void): void => {
        for (const cleanup of cleanups.splice(0)) cleanup()
        settle()
      }
      const giveUp = (settle: () => void): void => {
        end(settle)
        void room.leave(token)
      }
      const occupant: Occupant = {
        token,
        mayWait: waitMs > 0,
        settle: (granted) => end(() => resolve(granted ? slotOf(room, token, lost.signal) : undefined)),
        lose: () =>
          lost.abort(
            new MemcacheLimitError(
              `a slot of the concurrency limit '${this.name}' was lost, since this process did not renew it within leaseMs`,
            ),
          ),
      }
      if (signal !== undefined) {
        const abort = (): void => giveUp(() => reject(reasonOf(signal)))
        cleanups.push(onAbort(signal, abort))
      }
      if (waitMs > 0 && waitMs < Infinity) {
        cleanups.push(callAt(clock, clock.nowMs() + waitMs, () => giveUp(() => resolve(undefined))))
      }
      room.enter(occupant)
    })
  }

  #room(id: string): ConcurrencyRoom {
    let room = this.#rooms.get(id)
    if (room === undefined) {
      const cache = this.#opened()
      const host: RoomHost = {
        rules: this.#rules,
        nowMs: () => cache.clock.nowMs(),
        change: (change) => this.#change(cache, change),
        left: () => this.#rooms.delete(id),
      }
      room = new ConcurrencyRoom(host, ownKey(cache, 'rate', [this.name, 'slots', id.toWellFormed()]))
      this.#rooms.set(id, room)
    }
    return room
  }

  async #change(
    cache: Memcache,
    change: (store: RateLimitStore) => Promise<ConcurrencyTurn | 'busy'>,
  ): Promise<TurnResult> {
    if (!this.#insurance.isNeeded(cache)) {
      try {
        return await change(this.#store!)
      } catch (error) {
        // No caller is left that could receive the error; the slot is counted in this process instead.
        this.#insurance.noteAll(cache, error)
      }
    }
    const { onCacheDown } = this.#options
    if (onCacheDown === 'local') return change(LocalCounters.of(cache))
    return onCacheDown === 'open' ? 'allowed' : 'denied'
  }

  #opened(): Memcache {
    const cache = this.#options.cache ?? getDefaultMemcache()
    if (cache !== this.#cache) {
      this.#cache = cache
      this.#store = new MemcachedCounters(cache.client)
    }
    return cache
  }
}

function slotOf(room: ConcurrencyRoom, token: string, signal: AbortSignal): Slot {
  let released: Promise<void> | undefined
  const release = (): Promise<void> => (released ??= room.leave(token))
  return { signal, release, [Symbol.asyncDispose]: release }
}

/**
 * Returns a limiter of concurrent calls.
 *
 * @example
 *   const reports = concurrency({ name: 'reports', max: 2, queue: 10, waitMs: 5000 })
 *   await using slot = await reports.acquire(userId)
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function concurrency(options: ConcurrencyOptions): ConcurrencyLimiter {
  return new ConcurrencyLimiter(options)
}
