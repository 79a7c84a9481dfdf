import type { RateLimitResult, RateLimitWindow } from 'memcache-ts'

/** The policies of a limiter, as named windows. */
export function policyName(name: string, window: RateLimitWindow, windows: readonly RateLimitWindow[]): string {
  return windows.length === 1 ? name : `${name}-${window.windowMs / 1000}s`
}

/** `RateLimit-Policy`: what is allowed (draft-ietf-httpapi-ratelimit-headers-10, section 3). */
export function policyHeader(name: string, windows: readonly RateLimitWindow[]): string {
  return windows
    .map(
      (window) =>
        `${quoted(policyName(name, window, windows))};q=${window.limit};w=${Math.ceil(window.windowMs / 1000)}`,
    )
    .join(', ')
}

/** `RateLimit`: what is left, and for how many seconds (draft-ietf-httpapi-ratelimit-headers-10, section 4). */
export function limitHeader(name: string, windows: readonly RateLimitWindow[], result: RateLimitResult): string {
  const window = tightest(windows, result)
  return `${quoted(policyName(name, window, windows))};r=${result.remaining};t=${Math.ceil(result.resetMs / 1000)}`
}

/** The window that a result speaks of. */
export function tightest(windows: readonly RateLimitWindow[], result: RateLimitResult): RateLimitWindow {
  return windows.find((window) => window.limit === result.limit && window.windowMs >= result.resetMs) ?? windows[0]!
}

/** A string of structured fields (RFC 9651, section 3.3.3). */
function quoted(text: string): string {
  return `"${text.replaceAll(/[^ -~]/g, '?').replaceAll(/["\\]/g, String.raw`\$&`)}"`
}
