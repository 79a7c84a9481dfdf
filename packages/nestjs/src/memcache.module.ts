import { Inject, Module, Optional } from '@nestjs/common'
import type { DynamicModule, OnApplicationShutdown } from '@nestjs/common'
import { APP_GUARD, ModulesContainer } from '@nestjs/core'
import { MemcacheOptionError } from 'memcache-ts'
import type { Memcache } from 'memcache-ts'
import { bindCache, checkOptions, requireOptions, requireType } from 'memcache-ts/adapter'
import { getCacheToken, getMemcacheToken, MODULE_MEMCACHE, MODULE_NAME, MODULE_OPTIONS } from './injection-tokens.ts'
import { MemcacheHealthIndicator } from './health/memcache.health-indicator.ts'
import type { ASYNC_OPTIONS_TYPE, MemcacheModuleExtras, MemcacheModuleOptions } from './memcache.module-definition.ts'
import { ConfigurableModuleClass, isOpenedHere } from './memcache.module-definition.ts'
import { missingCache } from './injection/missing-cache.ts'
import { APPLICATION_LIMIT, ApplicationLimitGuard } from './rate-limit/rate-limit.guard.ts'
import { MemcacheThrottlerStorage } from './throttler/memcache-throttler-storage.ts'

/** Adds the providers that exist once per application, with the cache without a name. */
function withDefaults(definition: DynamicModule): DynamicModule {
  return {
    ...definition,
    providers: [
      ...(definition.providers ?? []),
      {
        provide: APPLICATION_LIMIT,
        useFactory: (options: MemcacheModuleOptions | undefined) => options?.rateLimit,
        inject: [MODULE_OPTIONS],
      },
      { provide: APP_GUARD, useClass: ApplicationLimitGuard },
      MemcacheThrottlerStorage,
      MemcacheHealthIndicator,
    ],
    exports: [...(definition.exports ?? []), APPLICATION_LIMIT, MemcacheThrottlerStorage, MemcacheHealthIndicator],
  }
}

const ASYNC_OPTIONS = [
  'useFactory',
  'useClass',
  'useExisting',
  'inject',
  'imports',
  'provideInjectionTokensFrom',
  'name',
  'isGlobal',
] as const satisfies readonly (keyof typeof ASYNC_OPTIONS_TYPE)[]

function checkExtras({ name, isGlobal }: MemcacheModuleExtras): void {
  if (name === '') throw new MemcacheOptionError('MemcacheModule.forRoot: a name must not be empty')
  if (name !== undefined && typeof name !== 'string') {
    throw new MemcacheOptionError(`MemcacheModule.forRoot: name must be a string, got ${typeof name}`)
  }
  requireType('MemcacheModule.forRoot', 'boolean', { isGlobal })
}

/** @throws MemcacheOptionError if an option is unknown or invalid, or not exactly one source of the options is given. */
function checkAsyncOptions(options: typeof ASYNC_OPTIONS_TYPE): void {
  const owner = 'MemcacheModule.forRootAsync'
  requireOptions(owner, options)
  checkOptions(owner, options, {
    names: ASYNC_OPTIONS,
    hints: { factory: 'useFactory', global: 'isGlobal', servers: 'useFactory' },
  })
  const { useFactory, useClass, useExisting } = options
  requireType(owner, 'function', { useFactory, useClass })
  if ([useFactory, useClass, useExisting].filter((given) => given !== undefined).length === 1) return
  throw new MemcacheOptionError(
    `${owner} needs one of useFactory, useClass and useExisting: { useFactory: () => ({ servers: 'a,b' }) }`,
  )
}

/** Provides the declared caches of a feature. */
@Module({})
class MemcacheFeatureModule {}

/**
 * Provides an application's cache, with `Memcache` as its injection token. A cache that it opened is closed on
 * shutdown, after the response to the last request.
 *
 * @example
 *   const imports = [MemcacheModule.forRoot({ prefix: 'shop' })] // of the root module
 */
@Module({})
export class MemcacheModule extends ConfigurableModuleClass implements OnApplicationShutdown {
  readonly #cache: Memcache

  /**
   * @throws MemcacheOptionError if `forRoot` is missing, the application has two caches of one name, or a named cache
   *   has the option `rateLimit`.
   */
  // oxlint-disable-next-line max-params -- Nest injects each by its position
  constructor(
    @Optional() @Inject(MODULE_MEMCACHE) cache: Memcache | undefined,
    @Optional() @Inject(MODULE_NAME) name: string | undefined,
    @Optional() @Inject(MODULE_OPTIONS) options: MemcacheModuleOptions | undefined,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    super()
    if (cache === undefined || name === undefined) {
      throw new MemcacheOptionError(
        'MemcacheModule is imported without a cache: write imports: [MemcacheModule.forRoot()], or forRootAsync, in place of MemcacheModule',
      )
    }
    this.#cache = cache
    if (name !== '' && options?.rateLimit !== undefined) {
      throw new MemcacheOptionError(
        `MemcacheModule.forRoot({ name: '${name}' }): rateLimit limits the whole application, so it belongs to the forRoot without a name: write rateLimit: { …, cache: '${name}' } there`,
      )
    }
    const same = [...modules.values()].filter(({ providers }) => providers.get(MODULE_NAME)?.instance === name)
    if (same.length > 1) {
      throw new MemcacheOptionError(
        `MemcacheModule.forRoot is imported twice for the cache ${name === '' ? 'without a name' : `named '${name}'`}: import it once, or write MemcacheModule.forRoot({ name: 'other' }) for another cache`,
      )
    }
  }

  /**
   * Provides the application's cache. Without options it uses the servers of `MEMCACHE_SERVERS`, or a memcached in this
   * process.
   *
   * @throws MemcacheOptionError when the application starts, if an option is unknown or invalid.
   */
  static override forRoot(options: MemcacheModuleOptions & MemcacheModuleExtras = {}): DynamicModule {
    requireOptions('MemcacheModule.forRoot', options)
    checkExtras(options)
    const definition = super.forRoot(options)
    return options.name === undefined ? withDefaults(definition) : definition
  }

  /** Provides the application's cache with options from `useFactory` with `inject`, `useClass` or `useExisting`. */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    checkAsyncOptions(options)
    checkExtras(options)
    const definition = super.forRootAsync(options)
    return options.name === undefined ? withDefaults(definition) : definition
  }

  /**
   * Provides caches that `defineCache` declared, bound to the application's cache, for `@InjectCache(cities)`.
   *
   * @param name the name of another cache, as in `forRoot({ name })`. Default: the cache without a name.
   * @throws MemcacheOptionError when the application starts, if `defineCache` did not return an argument.
   */
  static forFeature(caches: readonly object[], name?: string): DynamicModule {
    if (!Array.isArray(caches)) {
      throw new MemcacheOptionError('MemcacheModule.forFeature takes a list of declared caches: forFeature([cities])')
    }
    return {
      module: MemcacheFeatureModule,
      providers: caches.map((declared) => ({
        provide: getCacheToken(declared),
        useFactory: (cache: Memcache | undefined, modules: ModulesContainer) => {
          if (cache === undefined) throw missingCache('MemcacheModule.forFeature', name, modules)
          return bindCache(declared, cache)
        },
        inject: [{ token: getMemcacheToken(name), optional: true }, ModulesContainer],
      })),
      exports: caches.map(getCacheToken),
    }
  }

  async onApplicationShutdown(): Promise<void> {
    if (isOpenedHere(this.#cache)) await this.#cache.close()
  }
}
