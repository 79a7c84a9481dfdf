import { ConfigurableModuleBuilder } from '@nestjs/common'
import { openMemcache } from './memcache-module-options.ts'
import type { MemcacheModuleOptions } from './memcache-module-options.ts'
import { getMemcacheToken, MODULE_MEMCACHE, MODULE_NAME, MODULE_OPTIONS } from './injection-tokens.ts'
import { StartupModule } from './startup/startup.module.ts'
import { WarmingModule } from './warming/warming.module.ts'

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
