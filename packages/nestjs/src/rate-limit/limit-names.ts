import type { ModulesContainer } from '@nestjs/core'

/** The metadata keys of a controller's path, and of a version from `@Version` or `@Controller`. */
const PATH_METADATA = 'path'
const VERSION_METADATA = '__version__'
const HOST_METADATA = 'host'

/** The classes with a `@RateLimit` without a name, on the class or on a method. */
const LIMITED = new WeakSet<object>()
const NAMES = new WeakMap<ModulesContainer, Map<Function, string>>()

/** Registers a class whose counters are named after it. */
export function nameCountersAfter(constructor: Function): void {
  LIMITED.add(constructor)
}

/**
 * Returns the name of a class's counters: the class's name, and if an application has several classes of that name, a
 * difference that is the same in every process. The difference is a controller's path and version, else its module,
 * else its position in the order of the modules.
 */
export function counterNameOf(constructor: Function, modules: ModulesContainer | undefined): string {
  if (modules === undefined) return constructor.name
  const names = NAMES.get(modules)
  const known = names?.get(constructor)
  if (known !== undefined) return known
  // A module that was loaded later may have more classes.
  const found = namesIn(modules)
  NAMES.set(modules, found)
  return found.get(constructor) ?? constructor.name
}

/** Returns the classes of an application that share a name, by that name, each with the name of its counters. */
export function sharedCounterNames(modules: ModulesContainer): Map<string, readonly string[]> {
  const shared = new Map<string, string[]>()
  for (const [{ name }, counters] of namesIn(modules)) {
    if (counters !== name) shared.set(name, [...(shared.get(name) ?? []), counters])
  }
  return shared
}

function namesIn(modules: ModulesContainer): Map<Function, string> {
  const groups = new Map<string, Map<Function, string>>()
  for (const { controllers, providers, metatype } of modules.values()) {
    for (const { metatype: constructor } of [...controllers.values(), ...providers.values()]) {
      if (typeof constructor !== 'function' || !isLimited(constructor)) continue
      const group = groups.get(constructor.name) ?? new Map<Function, string>()
      groups.set(constructor.name, group)
      if (!group.has(constructor)) group.set(constructor, placeOf(constructor) ?? metatype.name)
    }
  }
  const names = new Map<Function, string>()
  for (const [name, group] of groups) {
    for (const [constructor, counters] of distinguished(name, group)) names.set(constructor, counters)
  }
  return names
}

function* distinguished(name: string, group: ReadonlyMap<Function, string>): Generator<[Function, string], void> {
  const seen = new Map<string, number>()
  for (const [constructor, place] of group) {
    const before = seen.get(place) ?? 0
    seen.set(place, before + 1)
    const order = before === 0 ? '' : `#${before + 1}`
    // Names go into header fields.
    yield [constructor, group.size === 1 ? name : `${name}(${encodeURI(place)}${order})`]
  }
}

function isLimited(constructor: Function): boolean {
  for (let at: object | null = constructor; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    if (LIMITED.has(at)) return true
  }
  return false
}

/** Returns a fact as text. Nest's version for routes without a version is a symbol. */
function textOf(fact: unknown): string {
  return typeof fact === 'symbol' ? 'neutral' : String(fact)
}

/** Returns a controller's path, with its version and host; `undefined` if the class is not a controller. */
function placeOf(constructor: Function): string | undefined {
  const path: unknown = Reflect.getMetadata(PATH_METADATA, constructor)
  if (path === undefined) return undefined
  const facts = [HOST_METADATA, VERSION_METADATA].map((key): unknown => Reflect.getMetadata(key, constructor))
  const texts = [path, ...facts].filter((fact) => fact !== undefined).map((fact) => [fact].flat().map(textOf).join())
  return texts.join('@')
}
