import { Memcache, memcache, MemcacheOptionError } from 'memcache-ts'
import type { Logger as MemcacheLogger, MemcacheOptions } from 'memcache-ts'
import { checkOptions, MEMCACHE_OPTIONS, requireOptions } from 'memcache-ts/adapter'
import { ConfigurableModuleBuilder, Logger } from '@nestjs/common'
import type { RateLimitOptions } from './rate-limit/rate-limit-options.ts'
import { getMemcacheToken, MODULE_MEMCACHE, MODULE_NAME, MODULE_OPTIONS } from './injection-tokens.ts'
import { StartupModule } from './startup/startup.module.ts'
import { WarmingModule } from './warming/warming.module.ts'

/** Options of `MemcacheModule.forRoot`: those of `memcache`, or an existing cache. */
export interface MemcacheModuleOptions extends MemcacheOptions {
  /** A cache that was opened elsewhere; the module does not close it. */
  cache?: Memcache | undefined
  /** How often a client may call, counted on all routes. Only for the cache without a name. Default: no limit. */
  rateLimit?: RateLimitOptions | undefined
}

/** A provider of the module's options, for `forRootAsync({ useClass })`. */
export interface MemcacheOptionsFactory {
  createMemcacheOptions(): MemcacheModuleOptions | Promise<MemcacheModuleOptions>
}

const OPTION_NAMES = [
  ...MEMCACHE_OPTIONS,
  'cache',
  'rateLimit',
] as const satisfies readonly (keyof MemcacheModuleOptions)[]
const HINTS = { ttl: 'ttlSeconds', timeout: 'timeoutMs', keyPrefix: 'prefix', namespace: 'prefix', hosts: 'servers' }

/** @throws MemcacheOptionError if an option is unknown or invalid, or `cache` is combined with options of `memcache`. */
function checkModuleOptions(options: MemcacheModuleOptions): void {
  requireOptions('MemcacheModule.forRoot', options)
  checkOptions('MemcacheModule.forRoot', options, {
    names: OPTION_NAMES,
    hints: {
      ...HINTS,
      global: 'isGlobal',
      throttlers: 'rateLimit',
    },
  })
  const { cache } = options
  if (cache === undefined) return
  if (!(cache instanceof Memcache)) {
    const isForeign = typeof (cache as Memcache | null)?.getOrSet === 'function'
    throw new MemcacheOptionError(
      isForeign
        ? 'MemcacheModule.forRoot: cache was created by another copy of memcache-ts: install one version of it (npm ls memcache-ts)'
        : 'MemcacheModule.forRoot: cache must be a memcache()',
    )
  }
  const own = MEMCACHE_OPTIONS.find((name) => options[name] !== undefined)
  if (own !== undefined) {
    throw new MemcacheOptionError(
      `MemcacheModule.forRoot: ${own} is an option of the given cache: write memcache({ ${own}: … })`,
    )
  }
}

const OPENED = new WeakSet<Memcache>()

/**
 * Returns the cache of a module's options, and opens it unless the options contain one.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
function openMemcache(options: MemcacheModuleOptions = {}): Memcache {
  checkModuleOptions(options)
  const { cache, rateLimit: _, ...own } = options
  if (cache !== undefined) return cache
  const opened = memcache({ logger: nestLogger(), ...own })
  OPENED.add(opened)
  return opened
}

/** Returns whether a module opened this cache and must close it. */
export function isOpenedHere(cache: Memcache): boolean {
  return OPENED.has(cache)
}

/** Returns a logger that writes to Nest's. */
function nestLogger(): MemcacheLogger {
  const logger = new Logger('Memcache')
  return { info: (message) => logger.log(message), warn: (message) => logger.warn(message) }
}

/** Options that must be known before the others, so that `forRootAsync` takes them next to `useFactory`. */
export interface MemcacheModuleExtras {
  /**
   * The name of a further cache next to the application's: `@InjectMemcache(name)`, `@Cached({ cache: name })`.
   * Default: the application's cache.
   */
  name?: string | undefined
  /** Whether all modules can inject it without importing it. Default true. */
  isGlobal?: boolean | undefined
}

export const { ConfigurableModuleClass, ASYNC_OPTIONS_TYPE } = new ConfigurableModuleBuilder<MemcacheModuleOptions>({
  optionsInjectionToken: MODULE_OPTIONS,
})
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createMemcacheOptions')
  .setExtras<MemcacheModuleExtras>({ name: undefined, isGlobal: true }, (definition, { name, isGlobal }) => {
    const token = getMemcacheToken(name)
    return {
      ...definition,
      global: isGlobal ?? true,
      imports: [...(definition.imports ?? []), StartupModule, WarmingModule],
      providers: [
        ...(definition.providers ?? []),
        { provide: token, useFactory: openMemcache, inject: [MODULE_OPTIONS] },
        { provide: MODULE_MEMCACHE, useExisting: token },
        { provide: MODULE_NAME, useValue: name ?? '' },
      ],
      exports: [token],
    }
  })
  .build()
