import { createHash } from 'node:crypto'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import { describeValue } from '../option-types.ts'
import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import type { RateLimitWindow } from './rate-limit-window.ts'

/**
 * The format of the fields: a draft of draft-ietf-httpapi-ratelimit-headers (8 to 10 have the same format), or the
 * older `X-RateLimit-*`.
 */
export type RateLimitHeaderFormat = 'draft-10' | 'draft-7' | 'draft-6' | 'legacy'

/** An object that headers are written to, such as Node's `ServerResponse`. */
export interface HeaderTarget {
  getHeader(name: string): unknown
  setHeader(name: string, value: string): unknown
}

/** The limiter that the headers describe. */
export interface DescribedLimiter {
  readonly name: string
  /** The windows, the shortest first. */
  readonly windows: readonly RateLimitWindow[]
  nowMs(): number
}

/**
 * Writes a limiter's result into the response, next to the results of other limiters.
 *
 * @param id the id that the request counts for, for `partitionKey`.
 */
export type WriteRateLimitHeaders = (target: HeaderTarget, result: RateLimitResult, id?: string) => void

/** Additional parameters of `draft-10`. */
export interface RateLimitHeaderOptions {
  /** `qu`: what is counted. Default `requests`, which is not written. */
  quotaUnit?: QuotaUnit | undefined
  /** `pk`: a hash of the id, which shows which clients are counted together. Default false. */
  partitionKey?: boolean | undefined
}

/** The quota units of the draft. */
export type QuotaUnit = 'requests' | 'content-bytes' | 'concurrent-requests'

const QUOTA_UNITS: readonly QuotaUnit[] = ['requests', 'content-bytes', 'concurrent-requests']
/** How many bytes of a SHA-256 identify an id. */
const PARTITION_KEY_BYTES = 12

type MakeWriter = (limiter: DescribedLimiter, options: RateLimitHeaderOptions) => WriteRateLimitHeaders

const FORMATS: Readonly<Record<RateLimitHeaderFormat, MakeWriter>> = {
  'draft-10': draft10,
  'draft-7': draft7,
  'draft-6': draft6,
  legacy,
}

/**
 * Returns the writer of a limiter's headers, to be created once; with `false` it writes none.
 *
 * @throws MemcacheOptionError if the format or an option is unknown.
 */
export function rateLimitHeaders(
  format: RateLimitHeaderFormat | false,
  limiter: DescribedLimiter,
  options: RateLimitHeaderOptions = {},
): WriteRateLimitHeaders {
  const { quotaUnit = 'requests', partitionKey = false } = options
  if (!QUOTA_UNITS.includes(quotaUnit)) {
    throw new MemcacheOptionError(`quotaUnit must be ${QUOTA_UNITS.join(', ')}, got ${describeValue(quotaUnit)}`)
  }
  if (typeof partitionKey !== 'boolean') {
    throw new MemcacheOptionError(`partitionKey must be true or false, got ${describeValue(partitionKey)}`)
  }
  if (format === false) return () => {}
  if (typeof format !== 'string' || !Object.hasOwn(FORMATS, format)) {
    throw new MemcacheOptionError(
      `headers must be ${Object.keys(FORMATS).join(', ')} or false, got ${describeValue(format)}`,
    )
  }
  return FORMATS[format](limiter, options)
}

/**
 * Returns the name of one of a limiter's policies: the limiter's name, with the window's name if there are several
 * windows.
 */
function policyName(limiter: Pick<DescribedLimiter, 'name' | 'windows'>, window: RateLimitWindow): string {
  return limiter.windows.length === 1 ? limiter.name : `${limiter.name}-${window.windowMs / 1000}s`
}

/**
 * Returns the seconds for `Retry-After` (RFC 9110, section 10.2.3): a whole number, at least 1; `Infinity` if a retry
 * is useless, in which case the field must not be sent.
 */
export function retryAfterSeconds(result: RateLimitResult): number {
  return Math.max(1, Math.ceil(result.retryAfterMs / 1000))
}

/** Writes `RateLimit-Policy: "default";q=100;w=60` and `RateLimit: "default";r=50;t=30`, lists of all limiters. */
function draft10(
  limiter: DescribedLimiter,
  { quotaUnit, partitionKey }: RateLimitHeaderOptions,
): WriteRateLimitHeaders {
  const { windows } = limiter
  const names = windows.map((window) => quoted(policyName(limiter, window)))
  const unit = quotaUnit === undefined || quotaUnit === 'requests' ? '' : `;qu="${quotaUnit}"`
  const policy = windows.map(
    (window, index) => `${names[index]};q=${window.limit};w=${Math.ceil(window.windowMs / 1000)}${unit}`,
  )
  const policies = policy.join(', ')
  return (target, result, id) => {
    const name = windows.length === 1 ? names[0]! : names[windows.indexOf(WindowResult.windowOf(result, windows))]!
    const seconds = resetSeconds(result)
    if (partitionKey !== true || id === undefined) {
      append(target, 'RateLimit-Policy', policies)
      append(target, 'RateLimit', `${name};r=${result.remaining};t=${seconds}`)
      return
    }
    const key = `;pk=:${partitionKeyOf(id)}:`
    append(target, 'RateLimit-Policy', policy.map((one) => `${one}${key}`).join(', '))
    append(target, 'RateLimit', `${name};r=${result.remaining};t=${seconds}${key}`)
  }
}

/** Returns a byte sequence (structured fields) that distinguishes an id without revealing it. */
function partitionKeyOf(id: string): string {
  return createHash('sha256').update(id).digest().subarray(0, PARTITION_KEY_BYTES).toString('base64')
}

/** Writes `RateLimit-Policy: 100;w=60` and `RateLimit: limit=100, remaining=50, reset=30`. */
function draft7(limiter: DescribedLimiter): WriteRateLimitHeaders {
  const policies = unnamedPolicies(limiter)
  return (target, result) => {
    append(target, 'RateLimit-Policy', policies)
    const { limit, remaining } = result
    const present = /remaining=(\d+)/.exec(String(target.getHeader('RateLimit')))?.[1]
    if (present !== undefined && Number(present) <= remaining) return
    target.setHeader('RateLimit', `limit=${limit}, remaining=${remaining}, reset=${resetSeconds(result)}`)
  }
}

/**
 * Writes `RateLimit-Policy: 100;w=60`, `RateLimit-Limit`, `RateLimit-Remaining`, and `RateLimit-Reset` in seconds from
 * now.
 */
function draft6(limiter: DescribedLimiter): WriteRateLimitHeaders {
  const policies = unnamedPolicies(limiter)
  return (target, result) => {
    append(target, 'RateLimit-Policy', policies)
    writeThree(target, result, { prefix: 'RateLimit', reset: resetSeconds(result) })
  }
}

/** Writes `X-RateLimit-Limit`, `X-RateLimit-Remaining`, and `X-RateLimit-Reset` in seconds since 1970. */
function legacy(limiter: DescribedLimiter): WriteRateLimitHeaders {
  return (target, result) => {
    const reset = Math.ceil((limiter.nowMs() + result.resetMs) / 1000)
    writeThree(target, result, { prefix: 'X-RateLimit', reset })
  }
}

function resetSeconds(result: RateLimitResult): number {
  return Math.ceil(WindowResult.nextMsOf(result) / 1000)
}

/** Writes three fields that describe one limit: of several limiters, the limit with the least remaining. */
function writeThree(
  target: HeaderTarget,
  result: RateLimitResult,
  { prefix, reset }: { readonly prefix: string; readonly reset: number },
): void {
  const present = target.getHeader(`${prefix}-Remaining`)
  if (present !== undefined && Number(present) <= result.remaining) return
  target.setHeader(`${prefix}-Limit`, String(result.limit))
  target.setHeader(`${prefix}-Remaining`, String(result.remaining))
  target.setHeader(`${prefix}-Reset`, String(reset))
}

function unnamedPolicies({ windows }: DescribedLimiter): string {
  return windows.map(({ limit, windowMs }) => `${limit};w=${Math.ceil(windowMs / 1000)}`).join(', ')
}

function append(target: HeaderTarget, name: string, value: string): void {
  const present = target.getHeader(name)
  target.setHeader(name, present === undefined ? value : `${present as string}, ${value}`)
}

/** Returns a string of structured fields (RFC 9651, section 3.3.3). */
function quoted(text: string): string {
  return `"${text.replaceAll(/[^ -~]/g, '?').replaceAll(/["\\]/g, String.raw`\$&`)}"`
}

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

/** Returns the problem document for a request that a limiter denied. */
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
