import type { Lifetimes } from './storage-policy.ts'
import type { RequestDirectives } from './request-directives.ts'
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
