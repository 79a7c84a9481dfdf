import { policyName, retryAfterSeconds } from './rate-limit-headers.ts'
import type { DescribedLimiter } from './rate-limit-headers.ts'
import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'

/** The media type of a `QuotaProblem`. */
export const PROBLEM_JSON = 'application/problem+json'

/** The body of the response to a denied request (RFC 9457; the type is that of draft-ietf-httpapi-ratelimit-headers-10). */
export interface QuotaProblem {
  readonly type: 'https://iana.org/assignments/http-problem-types#quota-exceeded'
  readonly title: string
  readonly status: 429
  readonly detail: string
  /** The names of the policies that denied the request. */
  readonly 'violated-policies': readonly string[]
}

/** The problem document for a request that a limiter denied. */
export function quotaProblem(
  limiter: Pick<DescribedLimiter, 'name' | 'windows'>,
  result: RateLimitResult,
): QuotaProblem {
  const seconds = retryAfterSeconds(result)
  const times = seconds === 1 ? '1 second' : `${seconds} seconds`
  return {
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Request cannot be satisfied as assigned quota has been exceeded',
    status: 429,
    detail: Number.isFinite(seconds)
      ? `The limit of ${result.limit} is used up. Try again in ${times}.`
      : `The limit of ${result.limit} never allows this request.`,
    'violated-policies': [policyName(limiter, WindowResult.windowOf(result, limiter.windows))],
  }
}
