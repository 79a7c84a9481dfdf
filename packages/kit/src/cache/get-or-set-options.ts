import { checkOptions, MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'

/** Options of `getOrSet`, or just its lifetime. */
export interface GetOrSetOptions {
  /** How long a loaded value stays. Default: the cache's. */
  ttlSeconds?: Ttl | undefined
  /** Each lifetime is changed by chance by up to this share, so that what was loaded together does not expire together. Default 0.1. */
  jitter?: number | undefined
  /** Ends this caller's wait; the load ends when nobody waits for it any more. */
  signal?: AbortSignal | undefined
}

/** What a loader is told, and can say. */
export interface LoadContext {
  /** Aborted when nobody waits for the value any more. */
  readonly signal: AbortSignal
  /** The lifetime of this value, instead of the call's. */
  setTtlSeconds(ttl: Ttl): void
  /** The value is returned, but not stored. */
  skipStore(): void
}

/** Fetches a value that is not in the cache. */
export type Loader<Value> = (context: LoadContext) => Value | Promise<Value>

const GET_OR_SET_OPTIONS = ['ttlSeconds', 'jitter', 'signal'] as const satisfies readonly (keyof GetOrSetOptions)[]

/** What people write who come from other caches, and what it is called here. */
export const OPTION_HINTS: Readonly<Record<string, string>> = {
  ttl: 'ttlSeconds',
  ttlMs: 'ttlSeconds',
  maxAge: 'ttlSeconds',
  expires: 'ttlSeconds',
  keyGenerator: 'key',
  grace: 'staleSeconds, which a later version has',
}

/** A lifetime or options, as options. @throws MemcacheOptionError for an option that there is not. */
export function resolveGetOrSet(options: Ttl | GetOrSetOptions | undefined): GetOrSetOptions {
  if (options === undefined) return {}
  if (typeof options === 'number' || typeof options === 'string') return { ttlSeconds: options }
  checkOptions('getOrSet', options, GET_OR_SET_OPTIONS, OPTION_HINTS)
  return options
}

/** A lifetime in seconds, changed by chance by up to `jitter` of it. */
export function jittered(ttl: Ttl, jitter: number): Ttl {
  if (!(jitter >= 0 && jitter < 1)) throw new MemcacheOptionError(`jitter must be from 0 to under 1, got ${jitter}`)
  const seconds = ttlToSeconds(ttl)
  if (seconds === Infinity) return Infinity
  return `${Math.max(1, Math.round(seconds * (1 + jitter * (Math.random() * 2 - 1))))}s`
}
