import type { CachedCalls } from '../argument-cache.ts'
import type { DecoratedMethod } from './method-decorator.ts'

/** Returns the cached calls of a method for an object of its class. */
export type CachedMethod = (self: object) => CachedCalls<readonly unknown[], unknown>

type MethodName = string | symbol

/**
 * The cached methods by the function that `@Cached` put in a method's place; another decorator may have replaced that
 * function again.
 */
const BY_FUNCTION = new WeakMap<object, CachedMethod>()
/** The cached methods by the prototype that a legacy decorator received. */
const BY_PROTOTYPE = new WeakMap<object, Map<MethodName, CachedMethod>>()
/** The cached methods by the class of the objects that standard decorators have seen; inherited methods come first. */
const BY_CLASS = new WeakMap<Function, Map<MethodName, CachedMethod[]>>()

/** Registers a method with `@Cached`, so that it is found even if other decorators replace it. */
export function registerCachedMethod(
  replacement: object,
  { name, prototype, onObject }: DecoratedMethod,
  method: CachedMethod,
): void {
  BY_FUNCTION.set(replacement, method)
  if (prototype !== undefined) {
    const methods = BY_PROTOTYPE.get(prototype)
    if (methods === undefined) BY_PROTOTYPE.set(prototype, new Map([[name, method]]))
    else methods.set(name, method)
  }
  onObject(({ constructor }) => {
    const methods = BY_CLASS.get(constructor) ?? new Map<MethodName, CachedMethod[]>()
    const known = methods.get(name) ?? []
    if (known.includes(method)) return
    BY_CLASS.set(constructor, methods.set(name, [...known, method]))
  })
}

/** Returns the method of an object or of a class's prototype if it has `@Cached`, above or below other decorators. */
export function cachedMethodOf(target: object, name: MethodName): CachedMethod | undefined {
  const method: unknown = (target as Record<MethodName, unknown>)[name]
  const direct = typeof method === 'function' ? BY_FUNCTION.get(method) : undefined
  if (direct !== undefined) return direct
  const owners = prototypesOf(target).filter((prototype) => Object.hasOwn(prototype, name))
  const [nearest] = owners
  // The object's own method, such as a test's spy, hides that of its class.
  if (nearest === undefined) return undefined
  const { value } = Object.getOwnPropertyDescriptor(nearest, name)!
  const declared = BY_PROTOTYPE.get(nearest)?.get(name) ?? BY_FUNCTION.get(Object(value) as object)
  if (declared !== undefined) return declared
  const seen = BY_CLASS.get((Object.getPrototypeOf(target) as object).constructor)?.get(name)
  // It is only clear which class's method is decorated if the methods of all classes are.
  return seen?.length === owners.length ? seen.at(-1) : undefined
}

/** Returns the names of a class's methods that have `@Cached`, including inherited ones. */
export function cachedMethodNames(constructor: Function): ReadonlySet<string> {
  const prototype = constructor.prototype as object
  const names = new Set<MethodName>(BY_CLASS.get(constructor)?.keys())
  for (const at of [prototype, ...prototypesOf(prototype)]) {
    for (const name of Reflect.ownKeys(at)) {
      const { value } = Object.getOwnPropertyDescriptor(at, name)!
      if (BY_PROTOTYPE.get(at)?.has(name) === true || BY_FUNCTION.has(Object(value) as object)) names.add(name)
    }
  }
  return new Set([...names].map(String))
}

function prototypesOf(target: object): object[] {
  const found: object[] = []
  for (let at: unknown = Object.getPrototypeOf(target); at !== null; at = Object.getPrototypeOf(at))
    found.push(at as object)
  return found
}
