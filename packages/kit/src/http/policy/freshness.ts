import type { Lifetimes } from './storage-policy.ts'
import type { RequestDirectives } from './request-directives.ts'
import { KEPT_STALE_SECONDS } from '../response-cache-options.ts'
import type { StoredResponse } from '../records/stored-record.ts'

/** The use that a request may make of a stored response. */
export type Freshness =
  /** It is fresh, and the client accepts it. */
  | 'fresh'
  /** It is stale, and may be served. */
  | 'stale'
  /** It must be revalidated: it is stale, or needs this before each use. */
  | 'revalidate'
  /** The client requests a newer response. */
  | 'reload'

/** A year: memcached stores times in 31 bits. A response is reloaded after it. */
const MAX_FRESH_SECONDS = 31_536_000

/** The time when a response was received, and its lifetimes. */
type Aged = Pick<StoredResponse, 'receivedMs' | 'lifetimes'>

/** Returns the age of a stored response, in seconds (RFC 9111, section 4.2.3). */
export function ageSeconds({ receivedMs, lifetimes }: Aged, nowMs: number): number {
  return lifetimes.initialAgeSeconds + Math.max(0, nowMs - receivedMs) / 1000
}

/** Returns how long a response is still fresh, in seconds; negative if it is stale. */
export function remainingSeconds(stored: Aged, nowMs: number): number {
  return stored.lifetimes.freshSeconds - ageSeconds(stored, nowMs)
}

/** Returns how a stored response may be used for a request (RFC 9111, section 4; RFC 5861, section 3). */
export function freshnessOf(stored: Aged, directives: RequestDirectives, nowMs: number): Freshness {
  const { lifetimes } = stored
  const { noCache, maxAge, minFresh = 0, maxStale = 0 } = directives
  const remaining = remainingSeconds(stored, nowMs)
  if (lifetimes.alwaysRevalidate) return 'revalidate'
  if (noCache) return 'reload'
  const isFresh = remaining > 0
  if (isFresh && remaining < minFresh) return 'reload'
  if (maxAge !== undefined && (maxAge === 0 || ageSeconds(stored, nowMs) > maxAge))
    return isFresh ? 'reload' : 'revalidate'
  if (isFresh) return 'fresh'
  if (lifetimes.mustRevalidate) return 'revalidate'
  return -remaining < Math.max(lifetimes.whileRevalidateSeconds, maxStale) ? 'stale' : 'revalidate'
}

/** Returns whether a stored response may be served in place of an error (RFC 5861, section 4). */
export function isGoodOnError(stored: Aged, directives: RequestDirectives, nowMs: number): boolean {
  const { lifetimes } = stored
  if (lifetimes.mustRevalidate || lifetimes.alwaysRevalidate) return false
  return -remainingSeconds(stored, nowMs) < Math.max(lifetimes.ifErrorSeconds, directives.staleIfError ?? 0)
}

/** Returns whether a response can be reused for another request without revalidation. */
export function isReusable({
  freshSeconds,
  initialAgeSeconds,
  whileRevalidateSeconds,
  alwaysRevalidate,
}: Lifetimes): boolean {
  return !alwaysRevalidate && freshSeconds + whileRevalidateSeconds > initialAgeSeconds
}

/**
 * Returns the earliest time that it can be now by the clock that a response was stored with, in milliseconds since 1970.
 *
 * @param ttlSeconds how long memcached still keeps the response: it drops it `KEPT_STALE_SECONDS` after the response
 *   has become stale.
 */
export function earliestMs({ receivedMs, lifetimes }: Aged, ttlSeconds: number): number {
  const overdueSeconds = KEPT_STALE_SECONDS - ttlSeconds
  return overdueSeconds < 0 ? receivedMs : receivedMs + (freshSecondsLeft(lifetimes) + overdueSeconds) * 1000
}

/** Returns how long a response is still fresh when it is received, in whole seconds; at most a year. */
export function freshSecondsLeft({ freshSeconds, initialAgeSeconds }: Lifetimes): number {
  return Math.min(MAX_FRESH_SECONDS, Math.ceil(Math.max(0, freshSeconds - initialAgeSeconds)))
}

/** A difference that comes from rounding and delays, and not from another clock. */
const MAX_ROUNDING_MS = 2000
/** A stored time that is further ahead is invalid: no clock is wrong by more than a day. */
const MAX_AHEAD_MS = 86_400_000

/**
 * The clock by which stored responses age. Processes store times by their own clocks, which may be apart. A process
 * whose clock is behind would serve a response as fresh for longer than its lifetime, by that difference. Therefore the
 * later clock counts: from the first stored time that is ahead, the difference is added to the clock of this process.
 */
export class ResponseClock {
  /** The time by this process's clock, in milliseconds since 1970: for HTTP dates, which come from other clocks. */
  readonly ownMs: () => number
  #aheadMs = 0

  constructor(ownMs: () => number) {
    this.ownMs = ownMs
  }

  /** The time by the latest known clock, in milliseconds since 1970. */
  // A property, so that it can be passed as a function.
  readonly nowMs = (): number => this.ownMs() + this.#aheadMs

  /** Adjusts the clock to a time that has certainly passed; returns `false` if it is too far ahead to be valid. */
  reach(timeMs: number): boolean {
    const ownMs = this.ownMs()
    const aheadMs = timeMs - ownMs
    if (aheadMs - this.#aheadMs <= MAX_ROUNDING_MS) return true
    if (aheadMs > MAX_AHEAD_MS) return false
    this.#aheadMs = aheadMs
    return true
  }
}
