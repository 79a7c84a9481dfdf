import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { KeyPart, Ttl } from 'memcache-ts-protocol'
import type { CacheNamespace } from '../namespace.ts'
import { setWithLateTtl } from './late-facts.ts'
import type { LoadContext, LoadingOptions } from '../engine/load/get-or-set-options.ts'
import type { BatchLoader } from '../engine/load/read-through-many.ts'
import { describeValue } from '../option-types.ts'
import { requireSource, warm } from './warm/warm.ts'
import type { WarmOptions, WarmReport } from './warm/warm.ts'

/** The cached results of a function, by its arguments. */
export interface ArgumentCache<Args extends readonly unknown[], Value> {
  /** Returns the stored result for these arguments; `undefined` is a miss. */
  get(args: Readonly<Args>): Promise<Value | undefined>
  /** Stores a result for these arguments, and resolves to whether memcached has confirmed it. */
  set(args: Readonly<Args>, value: Value, ttl?: Ttl): Promise<boolean>
  /** Deletes the stored result for these arguments, and resolves to whether memcached has confirmed it. */
  delete(args: Readonly<Args>): Promise<boolean>
  /**
   * Marks the stored result stale, so that one caller runs the function again; resolves to whether memcached has
   * confirmed it.
   */
  markStale(args: Readonly<Args>): Promise<boolean>
  /** @deprecated Use `markStale`. */
  expire(args: Readonly<Args>): Promise<boolean>
  /** Runs the function for all arguments whose results are not stored yet, before they are needed. */
  warm(many: Iterable<Readonly<Args>> | AsyncIterable<Readonly<Args>>, options?: WarmOptions): Promise<WarmReport>
}

/** The calls of a cached function, as its `ArgumentCache` needs them. */
export interface CachedCalls<Args extends readonly unknown[], Value> {
  /** The namespace of the results; `undefined` if there is no cache, and so nothing stored. */
  readonly namespace: CacheNamespace | undefined
  readonly loading: LoadingOptions
  readonly keyOf: (args: Readonly<Args>) => readonly KeyPart[]
  readonly tagsOf: (args: Readonly<Args>) => readonly string[] | undefined
  /** Returns whether a call with these arguments is cached. */
  readonly isCached: (args: Readonly<Args>) => boolean
  readonly run: (args: Readonly<Args>, context: Pick<LoadContext, 'skipStore'>) => Promise<Value>
}

/**
 * Returns the `ArgumentCache` of a function.
 *
 * @param calls called for each operation, since the cache may only be known later.
 */
export function argumentCache<Args extends readonly unknown[], Value>(
  calls: () => CachedCalls<Args, Value>,
): ArgumentCache<Args, Value> {
  const markStale = async (args: Readonly<Args>): Promise<boolean> => {
    requireArguments('markStale', args)
    const { namespace, keyOf } = calls()
    return namespace?.markStale(keyOf(args)) ?? true
  }
  return {
    async get(args) {
      requireArguments('get', args)
      const { namespace, keyOf, loading } = calls()
      return namespace?.get<Value>(keyOf(args), { type: loading.type, revive: loading.revive })
    },
    async set(args, value, ttl) {
      requireArguments('set', args)
      const { namespace, keyOf, tagsOf, loading } = calls()
      if (namespace === undefined) return false
      return setWithLateTtl(namespace, { key: keyOf(args), value, ttl: ttl ?? loading.ttlSeconds, tags: tagsOf(args) })
    },
    async delete(args) {
      requireArguments('delete', args)
      const { namespace, keyOf } = calls()
      return namespace?.delete(keyOf(args)) ?? true
    },
    markStale,
    expire: markStale,
    async warm(many, options) {
      const { namespace, loading, keyOf, tagsOf, isCached, run } = calls()
      if (namespace === undefined) return { loaded: 0, skipped: 0, failed: 0 }
      const load: BatchLoader<Readonly<Args>, Value> = async (batch) => {
        const results = new Map<Readonly<Args>, Value>()
        const loadOne = async (args: Readonly<Args>): Promise<void> => {
          let isStored = true
          const value = await run(args, { skipStore: () => void (isStored = false) })
          if (isStored) results.set(args, value)
        }
        await Promise.all(batch.map(loadOne))
        return results
      }
      const source = {
        namespace,
        load,
        batches: false,
        options: { ...loading, key: keyOf, tags: (args: Readonly<Args>) => tagsOf(args) ?? [] },
      }
      requireSource(many)
      return warm(source, cachedOf(many, isCached), options)
    },
  }
}

/** Yields the arguments whose calls are cached. */
async function* cachedOf<Args extends readonly unknown[]>(
  many: Iterable<Args> | AsyncIterable<Args>,
  isCached: (args: Args) => boolean,
): AsyncGenerator<Args, void> {
  for await (const args of many) {
    requireArguments('warm', args)
    if (isCached(args)) yield args
  }
}

/**
 * Checks the arguments of a call.
 *
 * @throws MemcacheOptionError if they are not an array, such as a single argument.
 */
function requireArguments(owner: string, args: unknown): void {
  if (Array.isArray(args)) return
  const got = describeValue(args)
  throw new MemcacheOptionError(
    `${owner} takes the arguments of a call as an array, such as ${owner}([42]), got ${got}`,
  )
}
