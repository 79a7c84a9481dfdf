import { DeclarationSite } from '../declaration-site.ts'
import type { NamespaceOwner } from '../namespace-owners.ts'
import { cachedMethodNames } from './cached-methods.ts'

/** A decorated method of a class. */
export interface DeclaredMethod {
  readonly name: string | symbol
  readonly site: DeclarationSite
}

/** The place of the first decorated method of each class, by the class's prototype. */
const SITES = new WeakMap<object, DeclarationSite>()
/** The methods whose decorators use the default cache of the process, by the class's prototype. */
const PROCESS_METHODS = new WeakMap<object, (string | symbol)[]>()
const OWNERS = new WeakMap<Function, NamespaceOwner>()

/**
 * Returns the class of an object, from its prototype. Its property `constructor` may be wrong: a Proxy that wraps every
 * function, for example for traces, returns another function.
 */
export function classOf(self: object): Function {
  const { constructor } = (Object.getPrototypeOf(self) ?? self) as object
  return typeof constructor === 'function' && typeof constructor.prototype === 'object' ? constructor : self.constructor
}

/** Returns the class and the name of a method, for messages. */
export function methodTitle(self: object, name: string | symbol): string {
  return `${classOf(self).name}.${String(name)}`
}

/**
 * Returns the place of a class with decorated methods: the place of its first decorated method.
 *
 * @param decorator the decorator that is being called.
 */
export function declareClass(prototype: object, decorator: Function): DeclarationSite {
  let site = SITES.get(prototype)
  if (site === undefined) SITES.set(prototype, (site = new DeclarationSite(decorator)))
  return site
}

/** Registers a method whose decorator uses the default cache of the process. */
export function declareProcessMethod(prototype: object, name: string | symbol): void {
  PROCESS_METHODS.set(prototype, [...(PROCESS_METHODS.get(prototype) ?? []), name])
}

/**
 * Returns the methods of a class, including inherited ones, whose legacy decorators use the default cache of the
 * process unless `@CacheConfig` sets one. For adapters with their own cache.
 */
export function processMethodsOf(constructor: Function): readonly (string | symbol)[] {
  const found: (string | symbol)[] = []
  const first = (constructor.prototype as object | undefined) ?? null
  for (let at = first; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    found.push(...(PROCESS_METHODS.get(at) ?? []))
  }
  return found
}

/** Where the namespace of a class gets its name and its site from. */
interface ClassNaming {
  /** Whether `@CacheConfig` of the class or a superclass sets the name. */
  readonly naming: NamespaceOwner['naming']
  /** The method of a standard decorator, which does not know its class. */
  readonly method: DeclaredMethod | undefined
}

/** Returns a class as the owner of its namespace. */
export function classOwner(constructor: Function, { naming, method }: ClassNaming): NamespaceOwner {
  let owner = OWNERS.get(constructor)
  if (owner === undefined) {
    const prototype = constructor.prototype as object
    const isOwn = method !== undefined && Object.hasOwn(prototype, method.name)
    const own = SITES.get(prototype) ?? (isOwn ? method.site : undefined)
    owner = {
      title: constructor.name === '' ? 'a class without a name' : `class ${constructor.name}`,
      site: own ?? inheritedSite(prototype) ?? method?.site,
      naming,
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
