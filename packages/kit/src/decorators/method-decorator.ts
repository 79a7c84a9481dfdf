import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { CacheSource } from './cache-source.ts'

/** A method that may be cached: async, since a cache is never asked synchronously. */
// oxlint-disable-next-line typescript/no-explicit-any -- the rest of a method's parameters, whatever they are
export type AsyncMethod<Args extends readonly unknown[], Value> = (...args: [...Args, ...any[]]) => Promise<Value>

/** A decorator for async methods, standard (TC39) and legacy (`experimentalDecorators`) in one. */
export interface MethodDecoratorOf<Args extends readonly unknown[], Value> {
  <Method extends AsyncMethod<Args, Value>>(method: Method, context: ClassMethodDecoratorContext): Method
  <Method extends AsyncMethod<Args, Value>>(
    target: object,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<Method>,
  ): void
}

/**
 * Makes both kinds of decorator from what takes a method's place; name, length and Reflect metadata are kept.
 * @param choice which cache the decorator says, for a source that wants to know of each method.
 */
export function decorateMethod<Args extends readonly unknown[], Value, Choice>(
  source: CacheSource<Choice>,
  choice: Choice | undefined,
  replace: (method: AsyncMethod<Args, Value>, name: string) => AsyncMethod<Args, Value>,
): MethodDecoratorOf<Args, Value> {
  const decorator = (
    target: object,
    context: ClassMethodDecoratorContext | string | symbol,
    descriptor?: PropertyDescriptor,
  ): unknown => {
    if (isStandardContext(context)) {
      if (context.static) throw staticMethod()
      if (source.decorated !== undefined) {
        throw new MemcacheOptionError(
          `${String(context.name)}: this decorator needs "experimentalDecorators": true in tsconfig.json`,
        )
      }
      return dress(target as AsyncMethod<Args, Value>, String(context.name), replace)
    }
    if (typeof descriptor?.value !== 'function') {
      throw new MemcacheOptionError(`${String(context)} is no method: only async methods can be cached`)
    }
    if (typeof target === 'function') throw staticMethod()
    source.decorated?.(target, String(context), choice)
    descriptor.value = dress(descriptor.value as AsyncMethod<Args, Value>, String(context), replace)
    return undefined
  }
  return decorator as MethodDecoratorOf<Args, Value>
}

function staticMethod(): MemcacheOptionError {
  return new MemcacheOptionError('a static method cannot be cached: use cached(fn, options)')
}

/** A standard decorator's second argument is an object that says what kind of thing is decorated. */
function isStandardContext(
  context: ClassMethodDecoratorContext | string | symbol | undefined,
): context is ClassMethodDecoratorContext {
  return typeof context === 'object' && typeof context.kind === 'string'
}

function dress<Args extends readonly unknown[], Value>(
  method: AsyncMethod<Args, Value>,
  name: string,
  replace: (method: AsyncMethod<Args, Value>, name: string) => AsyncMethod<Args, Value>,
): AsyncMethod<Args, Value> {
  const replacement = replace(method, name)
  Object.defineProperty(replacement, 'name', { value: method.name, configurable: true })
  Object.defineProperty(replacement, 'length', { value: method.length, configurable: true })
  copyMetadata(method, replacement)
  return replacement
}

/** What reflect-metadata adds to `Reflect`, where it is loaded. */
interface ReflectMetadata {
  getOwnMetadataKeys?(target: object): unknown[]
  getOwnMetadata(key: unknown, target: object): unknown
  defineMetadata(key: unknown, value: unknown, target: object): void
}

/** Nest's decorators leave their metadata on the method itself. */
function copyMetadata(from: object, to: object): void {
  const reflect = Reflect as unknown as ReflectMetadata
  for (const key of reflect.getOwnMetadataKeys?.(from) ?? []) {
    reflect.defineMetadata(key, reflect.getOwnMetadata(key, from), to)
  }
}
