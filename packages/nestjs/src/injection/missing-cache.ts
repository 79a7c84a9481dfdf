import { Logger } from '@nestjs/common'
import { ModulesContainer } from '@nestjs/core'
import type { ModuleRef } from '@nestjs/core'
import { MemcacheOptionError } from 'memcache-ts'
import { MODULE_NAME } from '../module-tokens.ts'

/** What of `MemcacheModule` an application has imported. */
interface Imported {
  /** The names of the caches; `undefined` is the one without a name. */
  readonly names: readonly (string | undefined)[]
  /** A module of another copy of this package. */
  readonly hasOtherCopy: boolean
  /** Whether the class itself is imported, without `forRoot`. */
  readonly isBare: boolean
}

type Module = ModulesContainer extends Map<string, infer Found> ? Found : never

/** Applications whose tests were told that they have no cache. */
const TOLD = new WeakSet<ModulesContainer>()

/**
 * Nest had no cache for something that it has made. In a test's module that imports no `MemcacheModule` at all, as Nest
 * generates them, methods are then just called, as on an object made by `new`.
 * @throws MemcacheOptionError everywhere else.
 */
export function withoutCache(who: string, name: string | undefined, module: ModuleRef): void {
  const modules = module.get(ModulesContainer, { strict: false })
  const { names, hasOtherCopy, isBare } = importedBy(modules)
  if (names.length > 0 || hasOtherCopy || isBare || !isTest(modules)) throw missingCache(who, name, modules)
  if (TOLD.has(modules)) return
  TOLD.add(modules)
  new Logger('Memcache').warn(
    `${who} is called without a cache in this test, which imports no MemcacheModule: imports: [MemcacheModule.forRoot()] gives it one`,
  )
}

/** What to write where a cache is needed that the application does not have. */
export function missingCache(who: string, name: string | undefined, modules: ModulesContainer): MemcacheOptionError {
  const { names, hasOtherCopy, isBare } = importedBy(modules)
  const options = name === undefined ? '' : `{ name: '${name}' }`
  const lacks = `${who} needs a cache, and there is none${name === undefined ? '' : ` named '${name}'`}`
  const write = `write imports: [MemcacheModule.forRoot(${options})] in the application's root module`
  if (names.includes(name)) {
    return new MemcacheOptionError(
      `${who} needs a cache, and its module does not see the one of MemcacheModule.forRoot(${options}): leave out isGlobal: false, or import that module there`,
    )
  }
  if (hasOtherCopy) {
    return new MemcacheOptionError(
      `${lacks} that it knows: the application's MemcacheModule is of another copy of memcache-ts-nestjs or memcache-ts; install one version of each (npm ls memcache-ts memcache-ts-nestjs)`,
    )
  }
  if (isBare) {
    return new MemcacheOptionError(
      `${lacks}: MemcacheModule is imported as it is: write MemcacheModule.forRoot(${options})`,
    )
  }
  return new MemcacheOptionError(names.length === 0 ? `${lacks}: ${write}` : `${lacks}, but ${listOf(names)}: ${write}`)
}

function importedBy(modules: ModulesContainer): Imported {
  // One that extends ours may have another name.
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

/** Whether a module has what a `MemcacheModule.forRoot` has, by other symbols than ours. */
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
