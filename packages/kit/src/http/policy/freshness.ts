import type { Lifetimes } from './storage-policy.ts'
import type { RequestDirectives } from './request-directives.ts'
import type { StoredResponse } from '../records/stored-record.ts'

/** What may be done with a stored response for a request. */
export type Freshness =
  /** It is fresh, and the client takes it. */
  | 'fresh'
  /** It is stale, and may be served so. */
  | 'stale'
  /** It is stale, or has to be asked for each time. */
  | 'revalidate'
  /** The client wants a newer one. */
  | 'reload'

/** When a response came, and how it may be reused. */
type Aged = Pick<StoredResponse, 'receivedMs' | 'lifetimes'>

/** How old a stored response is, in seconds (RFC 9111, section 4.2.3). */
export function ageSeconds({ receivedMs, lifetimes }: Aged, nowMs: number): number {
  return lifetimes.initialAgeSeconds + Math.max(0, nowMs - receivedMs) / 1000
}

/** How long it is still fresh, in seconds; negative when it is stale. */
export function remainingSeconds(stored: Aged, nowMs: number): number {
  return stored.lifetimes.freshSeconds - ageSeconds(stored, nowMs)
}

/** Whether a stored response may answer a request (RFC 9111, section 4; RFC 5861, section 3). */
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

/** Whether it may be served because what it would be replaced with is an error (RFC 5861, section 4). */
export function isGoodOnError(stored: Aged, directives: RequestDirectives, nowMs: number): boolean {
  const { lifetimes } = stored
  if (lifetimes.mustRevalidate || lifetimes.alwaysRevalidate) return false
  return -remainingSeconds(stored, nowMs) < Math.max(lifetimes.ifErrorSeconds, directives.staleIfError ?? 0)
}

/** Whether a response is good for another request without asking for it. */
export function isReusable({
  freshSeconds,
  initialAgeSeconds,
  whileRevalidateSeconds,
  alwaysRevalidate,
}: Lifetimes): boolean {
  return !alwaysRevalidate && freshSeconds + whileRevalidateSeconds > initialAgeSeconds
}
