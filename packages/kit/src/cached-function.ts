import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { KeyPart, Ttl } from 'memcache-ts-protocol'
import { argumentParts } from './cache-key.ts'
import { OPTION_HINTS } from './cache/get-or-set-options.ts'
import { getDefaultMemcache } from './default-memcache.ts'
import type { Memcache } from './memcache.ts'

/** How a function's results are cached. */
export interface CachedOptions<Args extends readonly unknown[]> {
  /** The namespace of its keys. */
  name: string
  version?: number | undefined
  /** How long a result stays. Default: the `Memcache`'s. */
  ttlSeconds?: Ttl | undefined
  jitter?: number | undefined
  /** The parts of the key for these arguments. Default: the arguments themselves, objects by a hash of what they hold. */
  key?: ((...args: Args) => readonly KeyPart[]) | undefined
  /** The cache that they lie in. Default: this process's. */
  cache?: Memcache | undefined
}

/** The cache behind a function, by its arguments. */
export interface ArgumentCache<Args extends readonly unknown[], Value> {
  /** The stored result for these arguments; `undefined` is a miss. */
  get(args: Readonly<Args>): Promise<Value | undefined>
  /** Makes sure that the stored result for these arguments is never seen again; returns whether that was confirmed. */
  delete(args: Readonly<Args>): Promise<boolean>
}

/** A function whose results are cached. */
export type CachedFunction<Args extends readonly unknown[], Value> = ((...args: Args) => Promise<Value>) & {
  readonly cache: ArgumentCache<Args, Value>
}

const KNOWN = ['name', 'version', 'ttlSeconds', 'jitter', 'key', 'cache'] as const

/**
 * A function with its results cached: concurrent calls with the same arguments share one run, over all processes.
 * @throws MemcacheOptionError for an option that there is not.
 */
export function cached<Args extends readonly unknown[], Value>(
  run: (...args: Args) => Promise<Value>,
  options: CachedOptions<Args>,
): CachedFunction<Args, Value> {
  checkOptions('cached', options, KNOWN, OPTION_HINTS)
  if (options.name === '') throw new MemcacheOptionError('cached needs a name: it is the namespace of its keys')
  const { name, version, ttlSeconds, jitter } = options
  const namespace = version === undefined ? [name] : [name, `v${version}`]
  const keyOf = (args: Readonly<Args>): readonly KeyPart[] => [
    ...namespace,
    ...(options.key?.(...args) ?? argumentParts(args)),
  ]
  const cacheOf = (): Memcache => options.cache ?? getDefaultMemcache()
  const call = async (...args: Args): Promise<Value> =>
    cacheOf().getOrSet(keyOf(args), () => run(...args), { ttlSeconds, jitter })
  return Object.assign(call, {
    cache: {
      get: async (args: Readonly<Args>) => cacheOf().get<Value>(keyOf(args)),
      delete: async (args: Readonly<Args>) => cacheOf().delete(keyOf(args)),
    },
  })
}
