import type { DecoratorKind } from 'memcache-ts'
import type { CacheChoice } from './injected-source.ts'

/** A method with a decorator of this package. */
export interface DecoratedMethod {
  readonly name: string | symbol
  readonly kind: DecoratorKind
  /** The cache that the decorator says; `undefined`: that of the class, else the application's. */
  readonly choice: CacheChoice | undefined
}

const METHODS = new WeakMap<object, DecoratedMethod[]>()

/** Remembers a decorator on a method. */
export function addDecoratedMethod(prototype: object, method: DecoratedMethod): void {
  const methods = METHODS.get(prototype)
  if (methods === undefined) METHODS.set(prototype, [method])
  else methods.push(method)
}

/** The decorated methods of an object or a prototype, with those that it inherits and does not override. */
export function decoratedMethodsOf(target: object): DecoratedMethod[] {
  const found: DecoratedMethod[] = []
  const nearer: object[] = []
  for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const methods = METHODS.get(at) ?? []
    found.push(...methods.filter(({ name }) => !nearer.some((object) => Object.hasOwn(object, name))))
    nearer.push(at)
  }
  return found
}
