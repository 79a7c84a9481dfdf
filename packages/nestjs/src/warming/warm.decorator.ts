import { MemcacheOptionError } from 'memcache-ts'

/** The methods of a class with `@Warm`, and the method that each warms; `undefined` if it warms by itself. */
const WARMINGS = new WeakMap<object, Map<string, string | undefined>>()

// oxlint-disable-next-line typescript/no-explicit-any -- the parameters of a method, whatever they are
type Warmable<Name extends string> = Record<Name, (...args: any[]) => Promise<unknown>>

/**
 * Warms a `@Cached` method of the class when the application has started, with the argument lists that the decorated
 * method returns in an array or yields; a value that is not an array is a single argument. Each value is loaded by one
 * process of a fleet. Errors are logged: they neither prevent the application from starting nor end it.
 *
 * @example
 *   class Cities { @Warm('find') top() { return this.table.largestIds(1000) } }
 *
 * @param name the method to warm. Without a name, the decorated method warms by itself, and may return the report of
 *   `warm` for the log.
 */
export function Warm<const Name extends string = never>(
  name?: Name,
): <Target extends Warmable<Name>>(target: Target, method: string, descriptor: PropertyDescriptor) => void {
  if (name !== undefined && typeof name !== 'string') {
    throw new MemcacheOptionError(`@Warm takes the name of a @Cached method, got ${typeof name}: @Warm('find')`)
  }
  return (target, method, descriptor) => {
    if (typeof descriptor?.value !== 'function')
      throw new MemcacheOptionError(`@Warm belongs on a method, not on ${method}`)
    const warmings = WARMINGS.get(target)
    if (warmings === undefined) WARMINGS.set(target, new Map([[method, name]]))
    else warmings.set(method, name)
  }
}

/** Returns the methods with `@Warm` of a class and its superclasses. */
export function warmingsOf(prototype: object): Map<string, string | undefined> {
  const parent = Object.getPrototypeOf(prototype) as object | null
  return new Map([...(parent === null ? [] : warmingsOf(parent)), ...(WARMINGS.get(prototype) ?? [])])
}
