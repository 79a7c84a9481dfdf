import { MemcacheOptionError } from 'memcache-ts-protocol'
import { DeclarationSite } from '../declaration-site.ts'
import type { CacheSource, DecoratorKind } from './cache-source.ts'
import { declareClass, declareProcessMethod } from './class-owner.ts'
import { countParameters } from './formal-parameters.ts'

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

/** What of a decorated method is known where it is decorated. */
export interface DecoratedMethod {
  readonly name: string | symbol
  /** How many parameters it declares; `undefined` where that cannot be known. */
  readonly parameters: number | undefined
  readonly site: DeclarationSite
  /** The class's prototype; `undefined` for a standard decorator, which is not told of its class. */
  readonly prototype: object | undefined
  /** Has something done with each object of the class of a standard decorator, and so with its class. */
  readonly onObject: (task: (self: object) => void) => void
}

/** What takes a method's place. */
type Replace<Args extends readonly unknown[], Value> = (
  method: AsyncMethod<Args, Value>,
  about: DecoratedMethod,
) => AsyncMethod<Args, Value>

/**
 * Makes both kinds of decorator from what takes a method's place; name, length and Reflect metadata are kept.
 * @param owner of the decorator's messages: `@Cached`.
 * @param choice which cache the decorator says, for a source that wants to know of each method.
 */
export function decorateMethod<Args extends readonly unknown[], Value, Choice>(
  owner: string,
  kind: DecoratorKind,
  source: CacheSource<Choice>,
  choice: Choice | undefined,
  replace: Replace<Args, Value>,
): MethodDecoratorOf<Args, Value> {
  const decorator = (
    target: object,
    context: ClassMethodDecoratorContext | string | symbol,
    descriptor?: PropertyDescriptor,
  ): unknown => {
    if (isStandardContext(context)) {
      const site = new DeclarationSite(decorator)
      const { name } = context
      if (context.static) throw staticMethod(owner, name)
      if (source.decorated !== undefined) {
        throw new MemcacheOptionError(
          `${String(name)}: this decorator needs "experimentalDecorators": true in tsconfig.json`,
        )
      }
      const method = requireMethod<Args, Value>(owner, name, context.kind === 'method' ? target : undefined)
      const onObject: DecoratedMethod['onObject'] = (task) =>
        context.addInitializer(function (this: unknown) {
          task(this as object)
        })
      return dress(method, replace, { name, parameters: countParameters(method), site, prototype: undefined, onObject })
    }
    const method = requireMethod<Args, Value>(owner, context, descriptor?.value)
    if (typeof target === 'function') throw staticMethod(owner, context)
    source.decorated?.(target, context, choice, kind)
    const site = declareClass(target, decorator)
    if (source.decorated === undefined && choice === undefined) declareProcessMethod(target, context)
    const parameters = countParameters(method, target, context)
    const about = { name: context, parameters, site, prototype: target, onObject: () => {} }
    descriptor!.value = dress(method, replace, about)
    return undefined
  }
  return decorator as MethodDecoratorOf<Args, Value>
}

function requireMethod<Args extends readonly unknown[], Value>(
  owner: string,
  name: string | symbol,
  method: unknown,
): AsyncMethod<Args, Value> {
  if (typeof method !== 'function') {
    throw new MemcacheOptionError(`${owner}: ${String(name)} is no method: only async methods can be cached`)
  }
  const kind = String((method as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag])
  if (kind.endsWith('GeneratorFunction')) {
    throw new MemcacheOptionError(
      `${owner}: ${String(name)} is a generator, which cannot be cached: return all of it in an array from an async method`,
    )
  }
  return method as AsyncMethod<Args, Value>
}

function staticMethod(owner: string, name: string | symbol): MemcacheOptionError {
  return new MemcacheOptionError(
    `${owner}: ${String(name)} is static, and a static method cannot be cached: use cached(fn, options)`,
  )
}

/** A standard decorator's second argument is an object that says what kind of thing is decorated. */
function isStandardContext(
  context: ClassMethodDecoratorContext | string | symbol | undefined,
): context is ClassMethodDecoratorContext {
  return typeof context === 'object' && typeof context.kind === 'string'
}

function dress<Args extends readonly unknown[], Value>(
  method: AsyncMethod<Args, Value>,
  replace: Replace<Args, Value>,
  about: DecoratedMethod,
): AsyncMethod<Args, Value> {
  const replacement = replace(method, about)
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
