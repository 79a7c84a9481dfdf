/** What a limiter says of one call. */
export interface RateLimitResult {
  readonly allowed: boolean
  /** How much is allowed in the window. */
  readonly limit: number
  /** How much is left of it. */
  readonly remaining: number
  /** Milliseconds until the window ends. */
  readonly resetMs: number
  /** Milliseconds until it is worth trying again; 0 when allowed. */
  readonly retryAfterMs: number
}
