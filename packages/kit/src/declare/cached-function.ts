import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { KeyPart, Ttl } from 'memcache-ts-protocol'
import { argumentCache } from './argument-cache.ts'
import type { ArgumentCache, CachedCalls } from './argument-cache.ts'
import { argumentParts } from './argument-key.ts'
import { LOADING_OPTIONS, OPTION_HINTS, resolveLoading } from '../engine/load/get-or-set-options.ts'
import type { LoadingOptions } from '../engine/load/get-or-set-options.ts'
import { DeclaredNamespace, declaredOwner } from './declared-namespace.ts'
import type { NamespaceDeclaration } from './declared-namespace.ts'
import {
  describeValue,
  functionOf,
  requireCache,
  requireOptions,
  requireSync,
  requireTags,
  syncResult,
} from '../option-types.ts'
import { taggedLoad, tagsFor } from './late-facts.ts'
import type { TagsOf } from './late-facts.ts'

/** Options of `cached`. */
export interface CachedOptions<Args extends readonly unknown[]> extends NamespaceDeclaration, LoadingOptions {
  /**
   * Returns the parts of the key for these arguments. Default: the arguments themselves, with objects by a hash of
   * their content.
   */
  key?: ((...args: Args) => readonly KeyPart[]) | undefined
  /** The tags of a result, for `invalidateTags`. */
  tags?: TagsOf<Args> | undefined
}

/** The cached results of a function that has its own namespace. */
export interface FunctionCache<Args extends readonly unknown[], Value> extends ArgumentCache<Args, Value> {
  /** Invalidates all stored results in one operation; resolves to whether memcached has confirmed it. */
  clear(): Promise<boolean>
}

/** A function whose results are cached. */
export type CachedFunction<Args extends readonly unknown[], Value> = ((...args: Args) => Promise<Value>) & {
  readonly cache: FunctionCache<Args, Value>
}

const OPTION_NAMES = [
  ...LOADING_OPTIONS,
  'name',
  'version',
  'cache',
  'key',
  'tags',
] as const satisfies readonly (keyof CachedOptions<never>)[]

/** A placeholder for the cache's default lifetime, which is not known at the declaration. */
const ANY_TTL: Ttl = 60

/**
 * Returns a function whose results are cached: concurrent calls with the same arguments in all processes share one run.
 *
 * @example
 *   const cityOf = cached(loadCity, { name: 'city', ttlSeconds: 300 })
 *   const city = await cityOf(42)
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function cached<Args extends readonly unknown[], Value>(
  run: (...args: Args) => Promise<Value>,
  options: CachedOptions<Args>,
): CachedFunction<Args, Value> {
  if (typeof run !== 'function') {
    throw new MemcacheOptionError(
      `cached: the first argument must be a function, async (id) => …; got ${describeValue(run)}`,
    )
  }
  requireOptions('cached', options, "cached(load, { name: 'city', ttlSeconds: 60 })")
  checkOptions('cached', options, { names: OPTION_NAMES, hints: OPTION_HINTS })
  requireCache('cached', options.cache)
  requireSync('cached', { key: options.key, tags: functionOf(options.tags) })
  requireTags('cached', options.tags)
  const title = `cached(${run.name || 'a function'}, { name: ${describeValue(options.name)} })`
  const declared = new DeclaredNamespace(declaredOwner(title, cached), options)
  const { name: _, version: __, cache: ___, key, tags, ...loading } = options
  resolveLoading(loading, ANY_TTL)
  const keyOf = (args: Readonly<Args>): readonly KeyPart[] =>
    key === undefined
      ? argumentParts(args, `cached(${options.name})`)
      : (syncResult('cached: key', key(...args)) ?? argumentParts(args, `cached(${options.name})`))
  const call = async (...args: Args): Promise<Value> => {
    const { load, tags: own } = taggedLoad(tagsFor(tags, args), () => run(...args))
    return declared.namespace.getOrSet(keyOf(args), load, { ...loading, tags: own })
  }
  const calls = (): CachedCalls<Args, Value> => ({
    namespace: declared.namespace,
    loading,
    keyOf,
    tagsOf: (given) => tagsFor(tags, given as Args),
    isCached: () => true,
    run: (given) => run(...(given as Args)),
  })
  return Object.assign(call, {
    cache: { ...argumentCache(calls), clear: async () => declared.namespace.clear() },
  })
}
