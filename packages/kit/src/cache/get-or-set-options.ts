import { checkOptions, MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { reviverOf } from '../revive/reviver.ts'
import type { RevivingOptions } from '../revive/reviver.ts'
import { jitteredSeconds } from './lifetime.ts'

/** Early refreshes by XFetch. */
export interface EarlyRefreshOptions {
  /** Over 1 refreshes earlier, under 1 later. Default 1. */
  beta?: number | undefined
}

/** How values are loaded and kept; what a declared cache and a cached function have in common with `getOrSet`. */
export interface LoadingOptions extends RevivingOptions {
  /** How long a loaded value is fresh. Default: the cache's. */
  ttlSeconds?: Ttl | undefined
  /** Each lifetime is changed by chance by up to this share, so that what was loaded together does not expire together. Default 0.1. */
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
  /** How long a loader may take, in milliseconds; then it is aborted. Default `Infinity`. */
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
}

/** What a loader is told, and can say. */
export interface LoadContext {
  /** Aborted when nobody waits for the value any more, or it took too long. */
  readonly signal: AbortSignal
  /** The value that is being replaced, where there is one; `undefined` otherwise. */
  readonly stale: unknown
  /** The lifetime of this value, instead of the call's. */
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

const GET_OR_SET_OPTIONS = [...LOADING_OPTIONS, 'tags', 'signal'] as const satisfies readonly (keyof GetOrSetOptions)[]

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
  class: 'type',
  model: 'type',
  transform: 'revive',
  deserialize: 'revive',
  parse: 'revive',
}

/** The options with their defaults. */
export interface ResolvedLoading {
  readonly ttlSeconds: Ttl
  /** A lifetime in seconds as it is stored: changed by chance. */
  vary(ttl: Ttl): number
  readonly staleSeconds: number
  readonly nullTtlSeconds: number
  readonly softTimeoutMs: number
  readonly hardTimeoutMs: number
  /** 0: never. */
  readonly beta: number
  readonly l1: boolean
}

/** A lifetime or options, as options. @throws MemcacheOptionError for an option that there is not. */
export function toGetOrSetOptions(options: Ttl | GetOrSetOptions | undefined): GetOrSetOptions {
  if (options === undefined) return {}
  if (typeof options !== 'object') return { ttlSeconds: options }
  checkOptions('getOrSet', options, GET_OR_SET_OPTIONS, OPTION_HINTS)
  return options
}

/** @throws MemcacheOptionError for a value that cannot be. */
export function resolveLoading(options: LoadingOptions, defaultTtl: Ttl): ResolvedLoading {
  const { ttlSeconds = defaultTtl, jitter = 0.1, staleSeconds = 0, nullTtlSeconds = 30 } = options
  const { softTimeoutMs = 0, hardTimeoutMs = Infinity, earlyRefresh = false, l1 = true } = options
  ttlToSeconds(ttlSeconds)
  reviverOf(options)
  if (!(jitter >= 0 && jitter < 1)) throw new MemcacheOptionError(`jitter must be from 0 to under 1, got ${jitter}`)
  if (!(softTimeoutMs >= 0)) throw new MemcacheOptionError(`softTimeoutMs must be 0 or more, got ${softTimeoutMs}`)
  if (!(hardTimeoutMs > 0)) throw new MemcacheOptionError(`hardTimeoutMs must be over 0, got ${hardTimeoutMs}`)
  return {
    ttlSeconds,
    vary: (ttl) => jitteredSeconds(ttl, jitter),
    staleSeconds: staleSeconds === 0 ? 0 : ttlToSeconds(staleSeconds, 'staleSeconds'),
    nullTtlSeconds: ttlToSeconds(nullTtlSeconds, 'nullTtlSeconds'),
    softTimeoutMs,
    hardTimeoutMs,
    beta: betaOf(earlyRefresh),
    l1,
  }
}

function betaOf(earlyRefresh: boolean | EarlyRefreshOptions): number {
  if (typeof earlyRefresh === 'boolean') return earlyRefresh ? 1 : 0
  checkOptions('earlyRefresh', earlyRefresh, ['beta'])
  const { beta = 1 } = earlyRefresh
  if (!(beta > 0)) throw new MemcacheOptionError(`earlyRefresh.beta must be over 0, got ${beta}`)
  return beta
}
