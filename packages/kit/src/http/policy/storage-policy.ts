import { CacheDirectives } from './cache-directives.ts'
import { isSingleValued, lineOf, listOf } from '../fields.ts'
import type { Fields } from '../fields.ts'
import { hasContentRange } from './byte-ranges.ts'
import { parseHttpDate } from './http-date.ts'
import { belongsToClient } from './request-fields.ts'
import { MAX_VARIED_FIELDS } from './vary.ts'

/** Statuses that are cacheable without an explicit lifetime (RFC 9110, section 15.1). */
const HEURISTICALLY_CACHEABLE = new Set([200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501])
/** A tenth of the time since the last modification, as in most caches (RFC 9111, section 4.2.2), but at most a day. */
const HEURISTIC_SHARE = 0.1
const MAX_HEURISTIC_SECONDS = 86_400

/** Fields that restrict the content: they are stored with it, even if middleware before the cache has set them. */
export const POLICY_FIELDS = ['content-security-policy', 'content-security-policy-report-only', 'cache-groups']

/** The head of a handler's response. */
export interface ResponseHead {
  readonly status: number
  readonly fields: Fields
  /** The time when it was received, in milliseconds since 1970. */
  readonly receivedMs: number
}

/** Conditions for storing a response, besides the response itself. */
export interface PolicyConditions {
  /** Whether the user of its request is known, for example by `Authorization`. */
  readonly isAuthorized: boolean
  /** Whether the handler sees the client's range, so that a 206 may be stored as a part. */
  readonly isRange?: boolean | undefined
  /** Whether a heuristic lifetime is allowed (RFC 9111, section 4.2.2). Default true. */
  readonly allowsHeuristics?: boolean | undefined
  /** How long a response without a stated lifetime is fresh, in seconds; `undefined` for heuristics. */
  readonly defaultSeconds: number | undefined
  /** How long a response that does not state this may be served stale, in seconds. */
  readonly staleSeconds: number
  /** Fields of which the first present one replaces `Cache-Control` and `Expires` (RFC 9213, section 2.2). */
  readonly targetedFields: readonly string[]
}

/** The times within which a response may be reused. */
export interface Lifetimes {
  /** How long it is fresh after it was created, in seconds. */
  readonly freshSeconds: number
  /** How old it was when it was received, in seconds. */
  readonly initialAgeSeconds: number
  /** How long it may be served stale while it is reloaded, in seconds (RFC 5861, section 3). */
  readonly whileRevalidateSeconds: number
  /** How long it may be served stale if the reload fails, in seconds (RFC 5861, section 4). */
  readonly ifErrorSeconds: number
  /** Whether it must never be served stale. */
  readonly mustRevalidate: boolean
  /** Whether it must be revalidated before each use. */
  readonly alwaysRevalidate: boolean
  /** Whether it may be served to requests with `Authorization`. */
  readonly isShared: boolean
}

/** The reason why a response is not stored, or the ways in which it may be reused. */
export type StorageDecision =
  | { readonly refused: string }
  | { readonly lifetimes: Lifetimes; readonly unstored: readonly string[] }

/** Returns whether a response with this status may be stored; 206 only as a part. */
export function isStorableStatus(status: number): boolean {
  // 416 depends on the range that one client requested.
  return status >= 200 && status !== 304 && status !== 416
}

/**
 * Decides whether a shared cache may store a response to a GET, and for how long (RFC 9111, sections 3 and 4.2). It
 * also refuses responses with `Set-Cookie`, which belongs to one client, responses with a nonce, which belongs to one
 * response, and responses that could never be reused.
 */
export function storageOf(head: ResponseHead, conditions: PolicyConditions): StorageDecision {
  const { status, fields } = head
  const targeted = targetedDirectives(fields, conditions.targetedFields)
  const directives = targeted ?? CacheDirectives.of(lineOf(fields, 'cache-control'))
  if (!isStorableStatus(status)) return { refused: `status ${status}` }
  if (status === 206 && !(conditions.isRange === true && hasContentRange(fields))) return { refused: 'status 206' }
  if (fields['set-cookie'] !== undefined) return { refused: 'Set-Cookie' }
  // With must-understand, no-store applies only to caches that do not know the status (RFC 9111, section 5.2.2.3).
  const isUnderstood = directives.has('must-understand') && HEURISTICALLY_CACHEABLE.has(status)
  if (directives.has('no-store') && !isUnderstood) return { refused: 'no-store' }
  if (directives.coversMessage('private')) return { refused: 'private' }
  const varied = listOf(lineOf(fields, 'vary'))
  if (varied.includes('*')) return { refused: 'Vary: *' }
  if (varied.length > MAX_VARIED_FIELDS) return { refused: 'too many fields in Vary' }
  if (lineOf(fields, 'content-type')?.startsWith('text/event-stream') === true) return { refused: 'event stream' }
  const isDefault = targeted === undefined && isPlatformDefault(fields)
  const isShared =
    !isDefault && (directives.has('public') || directives.has('s-maxage') || directives.has('must-revalidate'))
  if (conditions.isAuthorized && !isShared) return { refused: 'Authorization' }
  if (hasNonce(fields) && !isShared) return { refused: 'nonce' }
  const freshSeconds = lifetimeOf(head, { directives, isTargeted: targeted !== undefined }, conditions)
  if (freshSeconds === undefined) return { refused: 'no lifetime' }
  const alwaysRevalidate = directives.coversMessage('no-cache') || (targeted === undefined && isPragmaNoCache(fields))
  const mustRevalidate =
    directives.has('must-revalidate') || directives.has('proxy-revalidate') || directives.has('s-maxage')
  const mayBeStale = !mustRevalidate && !alwaysRevalidate
  const lifetimes: Lifetimes = {
    freshSeconds,
    initialAgeSeconds: initialAgeOf(head),
    whileRevalidateSeconds: mayBeStale ? (directives.seconds('stale-while-revalidate') ?? conditions.staleSeconds) : 0,
    ifErrorSeconds: mayBeStale ? (directives.seconds('stale-if-error') ?? conditions.staleSeconds) : 0,
    mustRevalidate,
    alwaysRevalidate,
    isShared,
  }
  if (!isOfUse(lifetimes, fields)) return { refused: 'stale, and without a validator' }
  return { lifetimes, unstored: [...directives.fields('no-cache'), ...directives.fields('private')] }
}

function targetedDirectives(fields: Fields, names: readonly string[]): CacheDirectives | undefined {
  for (const name of names) {
    const directives = CacheDirectives.ofTargeted(lineOf(fields, name))
    if (directives !== undefined) return directives
  }
  return undefined
}

/** The directives that apply to a response. */
interface StatedPolicy {
  readonly directives: CacheDirectives
  /** Whether they are from a field for this kind of cache, so that `Expires` does not count (RFC 9213, section 2.2). */
  readonly isTargeted: boolean
}

/** Returns how long a response is fresh, in seconds; `undefined` if nothing states it. */
function lifetimeOf(
  { status, fields, receivedMs }: ResponseHead,
  { directives, isTargeted }: StatedPolicy,
  { defaultSeconds, allowsHeuristics = true }: PolicyConditions,
): number | undefined {
  const stated = directives.seconds('s-maxage') ?? directives.seconds('max-age')
  if (stated !== undefined) return stated
  const dateMs = parseHttpDate(lineOf(fields, 'date'), receivedMs) ?? receivedMs
  const expires = isTargeted ? undefined : lineOf(fields, 'expires')
  if (expires !== undefined) {
    // An invalid date is in the past (RFC 9111, section 5.3).
    const expiresMs = parseHttpDate(expires, receivedMs) ?? 0
    return Math.max(0, (expiresMs - dateMs) / 1000)
  }
  if (!HEURISTICALLY_CACHEABLE.has(status) && !directives.has('public')) return undefined
  if (defaultSeconds !== undefined) return defaultSeconds
  if (!allowsHeuristics) return undefined
  const modifiedMs = parseHttpDate(lineOf(fields, 'last-modified'), receivedMs)
  if (modifiedMs !== undefined) {
    return Math.min(MAX_HEURISTIC_SECONDS, Math.max(0, ((dateMs - modifiedMs) / 1000) * HEURISTIC_SHARE))
  }
  return fields['etag'] === undefined ? undefined : 0
}

/**
 * The `Cache-Control` that `send` writes by default in `res.sendFile` and `express.static`: the application has not
 * chosen it.
 */
const PLATFORM_DEFAULT = /^public, max-age=\d+(?:, immutable)?$/
/** The entity tag that `send` creates from a file's size and time. */
const FILE_TAG = /^W\/"[\da-f]+-[\da-f]+"$/

/**
 * Returns whether the `Cache-Control` of a response is `send`'s own. Its other fields can be turned off one by one
 * (`etag: false`, `acceptRanges: false`), so any of them counts.
 */
function isPlatformDefault(fields: Fields): boolean {
  if (!PLATFORM_DEFAULT.test(lineOf(fields, 'cache-control') ?? '')) return false
  const etag = lineOf(fields, 'etag')
  const hasFileTag = etag === undefined ? fields['last-modified'] !== undefined : FILE_TAG.test(etag)
  return hasFileTag || lineOf(fields, 'accept-ranges') === 'bytes'
}

/**
 * Returns whether a response allows its scripts by a nonce, which must be different for each response (Content Security
 * Policy Level 3, section 8.1).
 */
function hasNonce(fields: Fields): boolean {
  return POLICY_FIELDS.some((name) => lineOf(fields, name)?.includes("'nonce-") === true)
}

/** Returns whether a response has `Pragma: no-cache` without `Cache-Control`, which some applications still send. */
function isPragmaNoCache(fields: Fields): boolean {
  return fields['cache-control'] === undefined && listOf(lineOf(fields, 'pragma')).includes('no-cache')
}

/**
 * Returns the age of a response when it was received (RFC 9111, section 4.2.3). Of several ages the first applies; an
 * age that is not a number is ignored (section 5.1).
 */
function initialAgeOf({ fields, receivedMs }: ResponseHead): number {
  const first = lineOf(fields, 'age')?.split(',')[0]!.trim() ?? ''
  const stated = /^\d+$/.test(first) ? Number(first) : 0
  const dateMs = parseHttpDate(lineOf(fields, 'date'), receivedMs) ?? receivedMs
  return Math.max(stated, (receivedMs - dateMs) / 1000, 0)
}

/** Returns whether a stored response could ever be reused. */
function isOfUse(lifetimes: Lifetimes, fields: Fields): boolean {
  if (fields['etag'] !== undefined || fields['last-modified'] !== undefined) return true
  if (lifetimes.alwaysRevalidate) return false
  const { freshSeconds, initialAgeSeconds, whileRevalidateSeconds, ifErrorSeconds } = lifetimes
  return freshSeconds + Math.max(whileRevalidateSeconds, ifErrorSeconds) > initialAgeSeconds
}

/** Returns why a response with these fields is not stored; `undefined` if it can be. */
export function unstorableField(fields: Fields, { isShared }: Lifetimes): string | undefined {
  if (!isShared && Object.keys(fields).some(belongsToClient)) return 'a field for one client'
  const isRepeated = ([name, value]: [string, unknown]): boolean => Array.isArray(value) && isSingleValued(name)
  return Object.entries(fields).some(isRepeated) ? 'a field with several values that may have only one' : undefined
}
