import { Logger } from '@nestjs/common'
import { ModulesContainer } from '@nestjs/core'
import type { ModuleRef } from '@nestjs/core'
import { MemcacheOptionError } from 'memcache-ts'
import { MODULE_NAME } from '../injection-tokens.ts'

/** How an application has imported `MemcacheModule`. */
interface Imported {
  /** The names of the caches; `undefined` is the cache without a name. */
  readonly names: readonly (string | undefined)[]
  /** Whether it has imported a module of another copy of this package. */
  readonly hasOtherCopy: boolean
  /** Whether it has imported the class itself, without `forRoot`. */
  readonly isBare: boolean
}

type Module = ModulesContainer extends Map<string, infer Found> ? Found : never

/** The applications under test for which the missing cache was logged. */
const TOLD = new WeakSet<ModulesContainer>()

/**
 * Handles a missing cache of an object that Nest has created. In a test's module without any `MemcacheModule`, as
 * Nest's generators write it, methods are called without a cache, as on an object that was created with `new`.
 *
 * @throws MemcacheOptionError in all other cases.
 */
export function withoutCache(method: string, name: string | undefined, module: ModuleRef): void {
  const modules = module.get(ModulesContainer, { strict: false })
  const { names, hasOtherCopy, isBare } = importedBy(modules)
  if (names.length > 0 || hasOtherCopy || isBare || !isTest(modules)) throw missingCache(method, name, modules)
  if (TOLD.has(modules)) return
  TOLD.add(modules)
  new Logger('Memcache').warn(
    `${method} is called without a cache in this test, which imports no MemcacheModule: add imports: [MemcacheModule.forRoot()] for a cache`,
  )
}

/** Returns the error for a missing cache, with the line to write. */
export function missingCache(owner: string, name: string | undefined, modules: ModulesContainer): MemcacheOptionError {
  const { names, hasOtherCopy, isBare } = importedBy(modules)
  const options = name === undefined ? '' : `{ name: '${name}' }`
  const problem = `${owner} needs a cache, and there is none${name === undefined ? '' : ` named '${name}'`}`
  const write = `write imports: [MemcacheModule.forRoot(${options})] in the application's root module`
  if (names.includes(name)) {
    return new MemcacheOptionError(
      `${owner} needs a cache, and its module does not see the one of MemcacheModule.forRoot(${options}): remove isGlobal: false, or import that module there`,
    )
  }
  if (hasOtherCopy) {
    return new MemcacheOptionError(
      `${problem} that it can use: the application's MemcacheModule comes from another copy of memcache-ts-nestjs or memcache-ts; install one version of each (npm ls memcache-ts memcache-ts-nestjs)`,
    )
  }
  if (isBare) {
    return new MemcacheOptionError(
      `${problem}: MemcacheModule is imported without forRoot: write MemcacheModule.forRoot(${options})`,
    )
  }
  return new MemcacheOptionError(
    names.length === 0 ? `${problem}: ${write}` : `${problem}, but ${listOf(names)}: ${write}`,
  )
}

function importedBy(modules: ModulesContainer): Imported {
  // A module that extends ours may have another name.
  const own = [...modules.values()].filter(({ providers }) => providers.has(MODULE_NAME))
  const others = [...modules.values()].filter(
    (module) => module.metatype?.name === 'MemcacheModule' && !own.includes(module),
  )
  return {
    names: own.map(({ providers }) => (providers.get(MODULE_NAME)!.instance as string) || undefined),
    hasOtherCopy: others.some(hasTokens),
    isBare: others.some((module) => !hasTokens(module)),
  }
}

/** Returns whether a module has the tokens of another copy's `MemcacheModule.forRoot`. */
function hasTokens({ providers }: Module): boolean {
  return [...providers.keys()].some(
    (token) => typeof token === 'symbol' && token.description === MODULE_NAME.description,
  )
}

function isTest(modules: ModulesContainer): boolean {
  return [...modules.values()].some(({ metatype }) => metatype?.name === 'RootTestModule')
}

function listOf(names: readonly (string | undefined)[]): string {
  const texts = names.map((name) => (name === undefined ? 'one without a name' : `one named '${name}'`))
  return `there is ${texts.join(', and ')}`
}
