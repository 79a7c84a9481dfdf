import type { DecoratorKind } from 'memcache-ts/adapter'
import type { CacheChoice } from './injected-source.ts'

/** A method with a decorator of this package. */
export interface DecoratedMethod {
  readonly name: string | symbol
  readonly kind: DecoratorKind
  /** The decorator's `cache` option; `undefined` means that of the class, or the application's. */
  readonly choice: CacheChoice | undefined
}

const METHODS = new WeakMap<object, DecoratedMethod[]>()

/**
 * The property that holds the registry of the package copy that decorated a class, since the package may be installed
 * several times.
 */
const COPY = Symbol.for('memcache-ts-nestjs.decorated')

/** Registers a decorated method. */
export function addDecoratedMethod(prototype: object, method: DecoratedMethod): void {
  const methods = METHODS.get(prototype)
  if (methods === undefined) {
    METHODS.set(prototype, [method])
    Object.defineProperty(prototype, COPY, { value: METHODS, configurable: true })
  } else {
    methods.push(method)
  }
}

/** Returns whether the class of an object was decorated by another copy of this package. */
export function isDecoratedElsewhere(target: object): boolean {
  const copy = (target as { [COPY]?: unknown })[COPY]
  return copy instanceof WeakMap && copy !== METHODS
}

/** Returns the decorated methods of an object or a prototype, including inherited ones that are not overridden. */
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
