import {
  booleanOption,
  checkOptions,
  kindOf,
  MemcacheOptionError,
  positiveOption,
  ttlToSeconds,
} from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { reviverOf } from '../values/reviver.ts'
import type { RevivingOptions } from '../values/reviver.ts'
import { describeValue, syncResult } from '../../option-types.ts'
import { checkJitter, MAX_FINITE_SECONDS, shortened } from '../lifetime.ts'

/** Options of early refreshes by XFetch. */
export interface EarlyRefreshOptions {
  /** A factor: above 1, values are refreshed earlier, below 1 later. Default 1. */
  beta?: number | undefined
}

// Typed as a method, so that a function may declare the type of its parameter.
/** A function that returns the lifetime of a loaded value. */
export type TtlOf = { of(value: never): Ttl }['of']

/** The loading options that `getOrSet`, declared caches and cached functions have in common. */
export interface LoadingOptions extends RevivingOptions {
  /**
   * How long a loaded value is fresh, or a function of the value that returns it, such as `(token) =>
   * token.expires_in`; a result of 0 means that the value is not stored. Default: the cache's.
   */
  ttlSeconds?: Ttl | TtlOf | undefined
  /**
   * Shortens each lifetime at random by up to this share, so that values that were loaded together do not expire
   * together. Default 0.1.
   */
  jitter?: number | undefined
  /**
   * How long after its lifetime a value may still be served while one caller of all processes reloads it, and if that
   * fails. Default 0 means never.
   */
  staleSeconds?: Ttl | undefined
  /** How long a loaded `null` is fresh, if its lifetime is not shorter. Default 30. */
  nullTtlSeconds?: Ttl | undefined
  /**
   * How long callers wait for the reload of a stale value that runs in their process, in milliseconds, before they are
   * served the stale value. Default 0.
   */
  softTimeoutMs?: number | undefined
  /**
   * How long a loader may take, in milliseconds; then it is aborted. Default 300 000; a background reload never has
   * more than 60 000. Without this option, the lease of a background reload is renewed for twice `leaseSeconds`; then
   * other processes may try.
   */
  hardTimeoutMs?: number | undefined
  /**
   * Reloads a value before it expires: the probability grows as the end approaches and with the duration of the load
   * (XFetch; Vattani, Chierichetti, Lowenstein, VLDB 2015). Default false.
   */
  earlyRefresh?: boolean | EarlyRefreshOptions | undefined
  /** Whether values are kept in memory, if the cache has an `l1`. Default true. */
  l1?: boolean | undefined
}

/** Options of `getOrSet`. */
export interface GetOrSetOptions extends LoadingOptions {
  /** The tags of the value, for `invalidateTags`. */
  tags?: readonly string[] | undefined
  /** Ends this caller's wait. The load is aborted when no caller waits for it any more. */
  signal?: AbortSignal | undefined
  /**
   * Loads and stores a new value even if a fresh one is stored: for a caller that knows that the data has changed.
   * Default false.
   */
  forceFresh?: boolean | undefined
}

/** Returns the lifetime of a value. */
export function ttlOf(ttl: Ttl | TtlOf, value: unknown): Ttl
export function ttlOf(ttl: Ttl | TtlOf | undefined, value: unknown): Ttl | undefined
export function ttlOf(ttl: Ttl | TtlOf | undefined, value: unknown): Ttl | undefined {
  return typeof ttl === 'function' ? syncResult('ttlSeconds', ttl(value as never)) : ttl
}

/** The loading options of calls that give none. */
export interface LoadingDefaults extends LoadingOptions {
  ttlSeconds: Ttl
}

/** The loader's parameter: information about the load, and methods to control how the value is stored. */
export interface LoadContext {
  /** Aborted when no caller waits for the value any more, or the loader exceeds its time limit. */
  readonly signal: AbortSignal
  /** A copy of the value that is being replaced; `undefined` if there is none. */
  readonly stale: unknown
  /**
   * Keeps the old value with a new lifetime. A loader that has found `stale` to be up to date, for example by the 304
   * of a conditional request, returns the result of this method.
   *
   * @throws MemcacheOptionError if there is no `stale`.
   */
  notModified(): never
  /** Sets the lifetime of this value in place of the call's. With 0 the value is not stored. */
  setTtlSeconds(ttl: Ttl): void
  /** Adds tags to this value. It is not stored if one of them was invalidated since the load began. */
  setTags(tags: readonly string[]): void
  /** Returns the value to the callers without storing it. */
  skipStore(): void
}

/** Fetches a value that is not in the cache. */
export type Loader<Value> = (context: LoadContext) => Value | Promise<Value>

export const LOADING_OPTIONS = [
  'ttlSeconds',
  'jitter',
  'staleSeconds',
  'nullTtlSeconds',
  'softTimeoutMs',
  'hardTimeoutMs',
  'earlyRefresh',
  'l1',
  'type',
  'revive',
] as const satisfies readonly (keyof LoadingOptions)[]

const GET_OR_SET_OPTIONS = [
  ...LOADING_OPTIONS,
  'tags',
  'signal',
  'forceFresh',
] as const satisfies readonly (keyof GetOrSetOptions)[]

/** The option names of other caches, with the names in this package. */
export const OPTION_HINTS: Readonly<Record<string, string>> = {
  ttl: 'ttlSeconds',
  ttlMs: 'ttlSeconds',
  stdTTL: 'ttlSeconds',
  maxAge: 'ttlSeconds',
  expires: 'ttlSeconds',
  duration: 'ttlSeconds',
  keyGenerator: 'key',
  keyResolver: 'key',
  grace: 'staleSeconds',
  gracePeriod: 'staleSeconds',
  staleWhileRevalidate: 'staleSeconds',
  staleIfError: 'staleSeconds',
  timeout: 'softTimeoutMs` or `hardTimeoutMs',
  hardTimeout: 'hardTimeoutMs',
  softTimeout: 'softTimeoutMs',
  beta: 'earlyRefresh: { beta }',
  refreshThreshold: 'earlyRefresh',
  abortSignal: 'signal',
  memory: 'l1',
  force: 'forceFresh',
  forceRefresh: 'forceFresh',
  refresh: 'forceFresh',
  skipCache: 'forceFresh',
  class: 'type',
  model: 'type',
  transform: 'revive',
  deserialize: 'revive',
  parse: 'revive',
}

/** The options with their defaults. */
export interface ResolvedLoading {
  readonly ttlSeconds: Ttl | TtlOf
  /** Returns a lifetime in seconds as it is stored: shortened at random. */
  vary(seconds: number): number
  readonly staleSeconds: number
  readonly nullTtlSeconds: number
  readonly softTimeoutMs: number
  /** `undefined` means the default for this kind of load. */
  readonly hardTimeoutMs: number | undefined
  /** 0 means never. */
  readonly beta: number
  readonly l1: boolean
}

/**
 * Returns a lifetime or options as options.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function toGetOrSetOptions(options: Ttl | GetOrSetOptions | undefined): GetOrSetOptions {
  if (options === undefined) return {}
  if (typeof options !== 'object') return { ttlSeconds: options }
  checkObject('getOrSet', options)
  checkOptions('getOrSet', options, { names: GET_OR_SET_OPTIONS, hints: OPTION_HINTS })
  checkCallOptions(options)
  return options
}

/**
 * Checks the options that belong to one caller.
 *
 * @throws MemcacheOptionError if one is invalid.
 */
export function checkCallOptions({ tags, signal, forceFresh }: Partial<GetOrSetOptions>): void {
  if (tags !== undefined) checkTags(tags)
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw new MemcacheOptionError(`signal must be an AbortSignal, got ${kindOf(signal)}`)
  }
  if (forceFresh !== undefined) booleanOption('forceFresh', forceFresh)
}

/** @throws MemcacheOptionError if the tags are not an array of non-empty strings. */
export function checkTags(tags: unknown): asserts tags is readonly string[] {
  if (!Array.isArray(tags)) {
    const hint = typeof tags === 'string' ? `: ['${tags}']` : ''
    throw new MemcacheOptionError(`tags must be a list of strings${hint}, got ${kindOf(tags)}`)
  }
  for (const tag of tags as unknown[]) {
    if (typeof tag !== 'string') throw new MemcacheOptionError(`a tag must be a string, got ${kindOf(tag)}`)
    if (tag === '') throw new MemcacheOptionError('a tag must not be empty')
    if (!tag.isWellFormed()) throw new MemcacheOptionError('a tag must be well-formed Unicode')
  }
}

/**
 * Returns the tags that a function or a loader gives; a string is one tag. Invalid tags are a `fault`: the value is
 * returned to its caller, but not stored.
 */
export function lateTags(given: unknown): { readonly tags: readonly string[]; readonly fault: unknown } {
  if (given === undefined || given === null) return { tags: [], fault: undefined }
  const tags: unknown = typeof given === 'string' ? [given] : given
  try {
    checkTags(syncResult('tags', tags))
    return { tags: tags as readonly string[], fault: undefined }
  } catch (fault) {
    return { tags: [], fault }
  }
}

/** Returns those tags of a list that can be used. */
export function usableTags(given: unknown): readonly string[] {
  return Array.isArray(given) ? given.filter((tag: unknown) => lateTags([tag]).fault === undefined) : []
}

/** @throws MemcacheOptionError if the options are not an object. */
export function checkObject(owner: string, options: unknown): asserts options is object {
  if (typeof options === 'object' && options !== null && !Array.isArray(options)) return
  throw new MemcacheOptionError(`${owner} takes a lifetime or an object of options, got ${kindOf(options)}`)
}

/**
 * Returns the options with their defaults.
 *
 * @param defaults the cache's options, or only its lifetime.
 * @throws MemcacheOptionError if an option is invalid.
 */
export function resolveLoading(options: LoadingOptions, defaults: Ttl | LoadingDefaults): ResolvedLoading {
  const all = typeof defaults === 'object' ? defaults : { ttlSeconds: defaults }
  const { ttlSeconds = all.ttlSeconds, jitter = all.jitter ?? 0.1, staleSeconds = all.staleSeconds ?? 0 } = options
  const { nullTtlSeconds = all.nullTtlSeconds ?? 30, softTimeoutMs = all.softTimeoutMs ?? 0 } = options
  const { hardTimeoutMs = all.hardTimeoutMs, earlyRefresh = all.earlyRefresh ?? false, l1 = all.l1 ?? true } = options
  if (typeof ttlSeconds !== 'function') ttlToSeconds(ttlSeconds)
  reviverOf(options)
  checkJitter(jitter)
  if (!(typeof softTimeoutMs === 'number' && softTimeoutMs >= 0)) {
    throw new MemcacheOptionError(`softTimeoutMs must be a number of at least 0, got ${describeValue(softTimeoutMs)}`)
  }
  return {
    ttlSeconds,
    vary: (seconds) => (seconds === Infinity ? seconds : shortened(seconds, jitter)),
    // An infinite stale time is cut to the longest finite one: an item is fresh or stale by its remaining time.
    staleSeconds: staleSeconds === 0 ? 0 : Math.min(MAX_FINITE_SECONDS, ttlToSeconds(staleSeconds, 'staleSeconds')),
    nullTtlSeconds: ttlToSeconds(nullTtlSeconds, 'nullTtlSeconds'),
    softTimeoutMs,
    hardTimeoutMs: hardTimeoutMs === undefined ? undefined : positiveOption('hardTimeoutMs', hardTimeoutMs),
    beta: betaOf(earlyRefresh),
    l1: booleanOption('l1', l1),
  }
}

function betaOf(earlyRefresh: boolean | EarlyRefreshOptions): number {
  if (typeof earlyRefresh !== 'object' || earlyRefresh === null)
    return booleanOption('earlyRefresh', earlyRefresh) ? 1 : 0
  checkOptions('earlyRefresh', earlyRefresh, { names: ['beta'] })
  const { beta = 1 } = earlyRefresh
  if (!(positiveOption('earlyRefresh.beta', beta) < Infinity)) {
    throw new MemcacheOptionError('earlyRefresh.beta must be finite, since with Infinity every call would load')
  }
  return beta
}
