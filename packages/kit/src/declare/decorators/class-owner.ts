import { DeclarationSite } from '../declaration-site.ts'
import type { NamespaceOwner } from '../namespace-owners.ts'
import { cachedMethodNames } from './cached-methods.ts'

/** A method of a class, of whatever decorator. */
export interface DeclaredMethod {
  readonly name: string | symbol
  readonly site: DeclarationSite
}

/** Where the first decorated method of a class was declared, by the class's prototype. */
const SITES = new WeakMap<object, DeclarationSite>()
/** The methods whose decorators take the process's cache, by the class's prototype. */
const PROCESS_METHODS = new WeakMap<object, (string | symbol)[]>()
const OWNERS = new WeakMap<Function, NamespaceOwner>()

/**
 * The class of an object. Its prototype knows it, and not its property `constructor`: a Proxy that wraps every function, as for traces, returns another
 * function for that.
 */
export function classOf(self: object): Function {
  const { constructor } = (Object.getPrototypeOf(self) ?? self) as object
  return typeof constructor === 'function' && typeof constructor.prototype === 'object' ? constructor : self.constructor
}

/**
 * Where a class is declared whose methods are decorated, taken at its first method.
 * @param decorator that is being called.
 */
export function declareClass(prototype: object, decorator: Function): DeclarationSite {
  let site = SITES.get(prototype)
  if (site === undefined) SITES.set(prototype, (site = new DeclarationSite(decorator)))
  return site
}

/** Remembers a method whose decorator takes the process's cache. */
export function declareProcessMethod(prototype: object, name: string | symbol): void {
  PROCESS_METHODS.set(prototype, [...(PROCESS_METHODS.get(prototype) ?? []), name])
}

/**
 * The methods of a class, inherited ones among them, whose legacy decorators take the process's cache, where
 * `@CacheConfig` says none. For adapters that have a cache of their own.
 */
export function processMethodsOf(constructor: Function): readonly (string | symbol)[] {
  const found: (string | symbol)[] = []
  const first = (constructor.prototype as object | undefined) ?? null
  for (let at = first; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    found.push(...(PROCESS_METHODS.get(at) ?? []))
  }
  return found
}

/**
 * A class as the owner of its namespace.
 * @param isNamed whether `@CacheConfig` says the name, of it or of a class that it extends.
 * @param method a standard decorator's, which is not told of its class.
 */
export function classOwner(
  constructor: Function,
  isNamed: boolean,
  method: DeclaredMethod | undefined,
): NamespaceOwner {
  let owner = OWNERS.get(constructor)
  if (owner === undefined) {
    const prototype = constructor.prototype as object
    const isOwn = method !== undefined && Object.hasOwn(prototype, method.name)
    const own = SITES.get(prototype) ?? (isOwn ? method.site : undefined)
    owner = {
      title: constructor.name === '' ? 'a class without a name' : `class ${constructor.name}`,
      site: own ?? inheritedSite(prototype) ?? method?.site,
      naming: isNamed ? 'written' : 'implied',
      isInherited: own === undefined,
      methods: () => cachedMethodNames(constructor),
    }
    OWNERS.set(constructor, owner)
  }
  return owner
}

function inheritedSite(prototype: object): DeclarationSite | undefined {
  const parent = Object.getPrototypeOf(prototype) as object | null
  return parent === null ? undefined : (SITES.get(parent) ?? inheritedSite(parent))
}
