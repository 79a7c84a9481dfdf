import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { MAX_TIMER_MS, unrefTimer } from 'memcache-ts-protocol'
import { EMPTY_STATE, stateOf, takeTurn, withCurrentLeases } from './concurrency-state.ts'
import type { ConcurrencyRules, ConcurrencyTurn, TurnRequests } from './concurrency-state.ts'
import { aloneKey } from './rate-limit-store.ts'
import type { RateLimitStore } from './rate-limit-store.ts'
import { lifetimeOver, MAX_CLOCK_SKEW_MS } from './rate-limit-window.ts'

const MAX_ATTEMPTS = 64
const MAX_PAUSE_MS = 5
const TOKEN_BYTES = 9
const FIRST_POLL_MS = 5
const MAX_POLL_MS = 100
const POLL_GROWTH = 1.5
/** How much longer than its lifetime an item may exist, since memcached's seconds are coarse. */
const MAX_OVERDUE_MS = 3000
/** How often a slot is renewed within its lease. */
const RENEWALS = 3

/**
 * The result of a turn: `allowed` or `denied` if nothing counts while memcached is away, `busy` if other processes
 * changed the item each time that this process tried.
 */
export type TurnResult = ConcurrencyTurn | 'allowed' | 'denied' | 'busy'

/** The parts of a limiter that a room needs. */
export interface RoomHost {
  readonly rules: ConcurrencyRules
  nowMs(): number
  /** Changes an id's state in memcached, or in this process while memcached is away. */
  change(change: (store: RateLimitStore) => Promise<ConcurrencyTurn | 'busy'>): Promise<TurnResult>
  /** Called when the room has become empty. */
  left(): void
}

/** A call that waits for a slot or holds one. */
export interface Occupant {
  readonly token: string
  readonly mayWait: boolean
  /** Called with whether the call got a slot; the caller may have stopped waiting. */
  readonly settle: (granted: boolean) => void
  readonly lose: () => void
}

/**
 * The calls of this process for one id, holding slots or waiting, which take turns at the item together. A turn is
 * taken when a call comes or leaves, repeatedly while a call waits, and three times per lease while a call holds a
 * slot.
 *
 * Leases end by the latest clock of all processes: each stored state has its time, and a process whose clock is behind
 * that adds the difference to its own.
 */
export class ConcurrencyRoom {
  readonly #host: RoomHost
  readonly #key: string
  readonly #held = new Map<string, Occupant>()
  readonly #wanted = new Map<string, Occupant>()
  readonly #released = new Set<string>()
  #running: Promise<void> | undefined
  #again = false
  #timer: NodeJS.Timeout | undefined
  #pollMs = FIRST_POLL_MS
  /** How far the latest clock is ahead of this process's, in milliseconds. */
  #aheadMs = 0

  constructor(host: RoomHost, key: string) {
    this.#host = host
    this.#key = key
  }

  static token(): string {
    return randomBytes(TOKEN_BYTES).toString('base64url')
  }

  enter(occupant: Occupant): void {
    this.#wanted.set(occupant.token, occupant)
    this.#pollMs = FIRST_POLL_MS
    void this.#takeTurns()
  }

  /**
   * Gives a slot back, or stops waiting; resolves when this is stored. If other processes change the item all the time,
   * it is stored with the next turn.
   */
  leave(token: string): Promise<void> {
    this.#wanted.delete(token)
    this.#held.delete(token)
    this.#released.add(token)
    return this.#takeTurns()
  }

  /** Takes one turn at a time; calls that arrive meanwhile are in the next turn. */
  #takeTurns(): Promise<void> {
    this.#again = true
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(): Promise<void> {
    clearTimeout(this.#timer)
    while (this.#again) {
      this.#again = false
      const released = [...this.#released]
      const wanted = [...this.#wanted.values()]
      const requests: TurnRequests = { held: [...this.#held.keys()], released, wanted }
      const turn = await this.#host.change((store) => this.#swap(store, requests))
      if (turn !== 'busy') for (const token of released) this.#released.delete(token)
      this.#apply(turn, wanted)
    }
    this.#schedule()
  }

  #apply(turn: TurnResult, wanted: readonly Occupant[]): void {
    for (const occupant of wanted) {
      const { token, mayWait } = occupant
      const isGranted = typeof turn === 'object' ? turn.granted.has(token) : turn === 'allowed'
      const isRefused =
        typeof turn === 'object' ? turn.refused.has(token) : turn === 'denied' || (turn === 'busy' && !mayWait)
      if (!isGranted && !isRefused) continue
      // The call may have left meanwhile: the next turn then gives its slot back.
      if (!this.#wanted.delete(token)) continue
      if (isGranted) this.#held.set(token, occupant)
      occupant.settle(isGranted)
    }
    if (typeof turn === 'object') for (const token of turn.lost) this.#held.get(token)?.lose()
  }

  async #swap(store: RateLimitStore, requests: TurnRequests): Promise<ConcurrencyTurn | 'busy'> {
    const { rules } = this.#host
    const key = aloneKey(this.#key)
    const keptMs = Math.max(rules.leaseMs, rules.waitLeaseMs)
    const ttl = lifetimeOver(keptMs)
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const found = await store.gets(key)
      const stored = found === undefined ? EMPTY_STATE : stateOf(found.value)
      const nowMs = this.#laterMs(stored.atMs)
      const before = withCurrentLeases(stored, nowMs, keptMs + MAX_OVERDUE_MS)
      const turn = takeTurn(before, { requests, nowMs }, rules)
      if (!turn.isChange) return turn
      if (await store.swap(key, { value: turn.state, casUnique: found?.casUnique }, ttl)) return turn
      if (attempt > 0) await delay(Math.random() * Math.min(attempt, MAX_PAUSE_MS))
    }
    return 'busy'
  }

  /** Returns the time by the latest clock. */
  #laterMs(storedAtMs: number): number {
    const nowMs = this.#host.nowMs()
    const aheadMs = storedAtMs - nowMs
    if (aheadMs > this.#aheadMs && aheadMs <= MAX_CLOCK_SKEW_MS) this.#aheadMs = aheadMs
    return nowMs + this.#aheadMs
  }

  #schedule(): void {
    if (this.#wanted.size > 0) {
      // Half of the pause is random, so that waiting processes do not poll in step.
      this.#timer = setTimeout(() => void this.#takeTurns(), this.#pollMs * (0.5 + Math.random()))
      this.#pollMs = Math.min(MAX_POLL_MS, this.#pollMs * POLL_GROWTH)
    } else if (this.#released.size > 0) {
      this.#timer = unrefTimer(setTimeout(() => void this.#takeTurns(), MAX_POLL_MS * (0.5 + Math.random())))
    } else if (this.#held.size > 0) {
      const renewMs = Math.min(MAX_TIMER_MS, this.#host.rules.leaseMs / RENEWALS)
      this.#timer = unrefTimer(setTimeout(() => void this.#takeTurns(), renewMs))
    } else {
      this.#host.left()
    }
  }
}
