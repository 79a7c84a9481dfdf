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
import { checkJitter, MAX_SECONDS, shortened } from '../lifetime.ts'

/** Early refreshes by XFetch. */
export interface EarlyRefreshOptions {
  /** Over 1 refreshes earlier, under 1 later. Default 1. */
  beta?: number | undefined
}

// As a method, so that a function may say which type it takes.
/** The lifetime of a value, known with the value. */
export type TtlOf = { of(value: never): Ttl }['of']

/** How values are loaded and kept; what a declared cache and a cached function have in common with `getOrSet`. */
export interface LoadingOptions extends RevivingOptions {
  /**
   * How long a loaded value is fresh, or a function of the value that says so, such as `(token) => token.expires_in`: 0 then means
   * that it is not stored. Default: the cache's.
   */
  ttlSeconds?: Ttl | TtlOf | undefined
  /** Each lifetime is shortened by chance by up to this share, so that what was loaded together does not expire together. Default 0.1. */
  jitter?: number | undefined
  /**
   * How long past its lifetime a value may still be served, while one caller of all processes loads it anew, and when that
   * fails. Default 0: never.
   */
  staleSeconds?: Ttl | undefined
  /** How long a loaded `null` is fresh, if that is shorter. Default 30. */
  nullTtlSeconds?: Ttl | undefined
  /** How long the caller who loads a stale value anew waits for it, in milliseconds, before the stale one is served. Default 0. */
  softTimeoutMs?: number | undefined
  /**
   * How long a loader may take, in milliseconds; then it is aborted. Default 300 000; a reload in the background has 60 000 at most. Where nothing is said, other processes try to
   * reload a stale value after twice `leaseSeconds`.
   */
  hardTimeoutMs?: number | undefined
  /**
   * Load ahead of the end: the nearer it is, the likelier, and the earlier, the longer the loader takes (XFetch; Vattani,
   * Chierichetti, Lowenstein, VLDB 2015). Default false.
   */
  earlyRefresh?: boolean | EarlyRefreshOptions | undefined
  /** Whether values are kept in memory, where the cache has an `l1`. Default true. */
  l1?: boolean | undefined
}

/** Options of `getOrSet`, or just its lifetime. */
export interface GetOrSetOptions extends LoadingOptions {
  /** What the value belongs to, for `invalidateTags`. */
  tags?: readonly string[] | undefined
  /** Ends this caller's wait; the load ends when nobody waits for it any more. */
  signal?: AbortSignal | undefined
  /** Load a new value whatever is stored, and store it: for a caller who knows that it has changed. Default false. */
  forceFresh?: boolean | undefined
}

/** The lifetime of a value. */
export function ttlOf(ttl: Ttl | TtlOf, value: unknown): Ttl
export function ttlOf(ttl: Ttl | TtlOf | undefined, value: unknown): Ttl | undefined
export function ttlOf(ttl: Ttl | TtlOf | undefined, value: unknown): Ttl | undefined {
  return typeof ttl === 'function' ? ttl(value as never) : ttl
}

/** How values are loaded where nothing else is said. */
export interface LoadingDefaults extends LoadingOptions {
  ttlSeconds: Ttl
}

/** What a loader is told, and can say. */
export interface LoadContext {
  /** Aborted when nobody waits for the value any more, or it took too long. */
  readonly signal: AbortSignal
  /** The value that is being replaced, where there is one; `undefined` otherwise. */
  readonly stale: unknown
  /**
   * What a loader returns that has found `stale` to be up to date, as by the 304 of a conditional request: the old value, with a new lifetime.
   * @throws MemcacheOptionError if there is no `stale`.
   */
  notModified(): never
  /** The lifetime of this value, instead of the call's; 0 for a value that is not to be stored. */
  setTtlSeconds(ttl: Ttl): void
  /** More tags for this value. It is not stored if one of them was invalidated since the load began. */
  setTags(tags: readonly string[]): void
  /** The value is returned, but not stored. */
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

/** What people write who come from other caches, and what it is called here. */
export const OPTION_HINTS: Readonly<Record<string, string>> = {
  ttl: 'ttlSeconds',
  ttlMs: 'ttlSeconds',
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
  /** A lifetime in seconds as it is stored: shortened by chance. */
  vary(seconds: number): number
  readonly staleSeconds: number
  readonly nullTtlSeconds: number
  readonly softTimeoutMs: number
  /** `undefined`: what suits the load. */
  readonly hardTimeoutMs: number | undefined
  /** 0: never. */
  readonly beta: number
  readonly l1: boolean
}

/** A lifetime or options, as options. @throws MemcacheOptionError if an option is unknown or invalid. */
export function toGetOrSetOptions(options: Ttl | GetOrSetOptions | undefined): GetOrSetOptions {
  if (options === undefined) return {}
  if (typeof options !== 'object') return { ttlSeconds: options }
  checkObject('getOrSet', options)
  checkOptions('getOrSet', options, GET_OR_SET_OPTIONS, OPTION_HINTS)
  checkCallOptions(options)
  return options
}

/** The options that callers have of their own. @throws MemcacheOptionError if one is invalid. */
export function checkCallOptions({ tags, signal, forceFresh }: Partial<GetOrSetOptions>): void {
  if (tags !== undefined) checkTags(tags)
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw new MemcacheOptionError(`signal must be an AbortSignal, got ${kindOf(signal)}`)
  }
  if (forceFresh !== undefined) booleanOption('forceFresh', forceFresh)
}

/** @throws MemcacheOptionError if tags are no list of texts that are not empty. */
export function checkTags(tags: unknown): asserts tags is readonly string[] {
  if (!Array.isArray(tags)) {
    const hint = typeof tags === 'string' ? `: ['${tags}']` : ''
    throw new MemcacheOptionError(`tags must be a list of texts${hint}, got ${kindOf(tags)}`)
  }
  for (const tag of tags as unknown[]) {
    if (typeof tag !== 'string') throw new MemcacheOptionError(`a tag must be text, got ${kindOf(tag)}`)
    if (tag === '') throw new MemcacheOptionError('a tag must not be empty')
    if (!tag.isWellFormed()) throw new MemcacheOptionError('a tag must be well-formed Unicode')
  }
}

/**
 * Tags that a function or a loader gives. A text is one tag. Tags that cannot be used are a `fault`, which keeps the value from being stored, and not
 * from its caller.
 */
export function lateTags(given: unknown): { readonly tags: readonly string[]; readonly fault: unknown } {
  if (given === undefined || given === null) return { tags: [], fault: undefined }
  const tags: unknown = typeof given === 'string' ? [given] : given
  try {
    checkTags(tags)
    return { tags, fault: undefined }
  } catch (fault) {
    return { tags: [], fault }
  }
}

/** @throws MemcacheOptionError if options are no object. */
export function checkObject(owner: string, options: unknown): asserts options is object {
  if (typeof options === 'object' && options !== null && !Array.isArray(options)) return
  throw new MemcacheOptionError(`${owner} takes a lifetime or an object of options, got ${kindOf(options)}`)
}

/**
 * @param defaults what is said for all, or just the lifetime.
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
    throw new MemcacheOptionError(`softTimeoutMs must be a number of 0 or more, got ${String(softTimeoutMs)}`)
  }
  return {
    ttlSeconds,
    vary: (seconds) => (seconds === Infinity ? seconds : shortened(seconds, jitter)),
    // Stale for ever is as long as memcached counts: how long a value is fresh is told by its remaining time.
    staleSeconds: staleSeconds === 0 ? 0 : Math.min(MAX_SECONDS, ttlToSeconds(staleSeconds, 'staleSeconds')),
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
  checkOptions('earlyRefresh', earlyRefresh, ['beta'])
  const { beta = 1 } = earlyRefresh
  if (!(positiveOption('earlyRefresh.beta', beta) < Infinity)) {
    throw new MemcacheOptionError('earlyRefresh.beta must be finite: Infinity would load at every call')
  }
  return beta
}
