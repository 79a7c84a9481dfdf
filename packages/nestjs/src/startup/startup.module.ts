import { Inject, Module } from '@nestjs/common'
import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common'
import { ModulesContainer } from '@nestjs/core'
import { applicationEnded, applicationStarted } from '../injection/injected-source.ts'
import { adoptProviders, forgetProviders } from './adopted-providers.ts'
import { checkLimitNames, checkNamespaces, checkProcessCache, checkSharedState } from './provider-checks.ts'

/** Checks all providers when an application starts, so that missing or mixed-up caches are reported then. */
@Module({})
export class StartupModule implements OnModuleInit, OnApplicationShutdown {
  readonly #modules: ModulesContainer
  #adopted: readonly object[] = []

  constructor(@Inject(ModulesContainer) modules: ModulesContainer) {
    this.#modules = modules
  }

  /** @throws MemcacheOptionError if two classes have the same name, so that each would get the other's values. */
  onModuleInit(): void {
    this.#adopted = adoptProviders(this.#modules)
    checkNamespaces(this.#modules)
    checkSharedState(this.#modules)
    checkProcessCache(this.#modules)
    checkLimitNames(this.#modules)
    applicationStarted(this.#modules)
  }

  onApplicationShutdown(): void {
    applicationEnded(this.#modules)
    forgetProviders(this.#adopted)
  }
}
