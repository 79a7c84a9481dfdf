import { MemcacheOptionError } from 'memcache-ts-protocol'
import { DeclarationSite } from '../declaration-site.ts'
import type { CacheSource, DecoratorKind } from './cache-config.ts'
import { declareClass, declareProcessMethod } from './class-owner.ts'
import { countParameters } from './formal-parameters.ts'

/** A method that can be cached. It is async, since a cache lookup is async. */
// oxlint-disable-next-line typescript/no-explicit-any -- the rest of a method's parameters, of any types
export type AsyncMethod<Args extends readonly unknown[], Value> = (...args: [...Args, ...any[]]) => Promise<Value>

/** A decorator for async methods that works as a standard (TC39) and as a legacy (`experimentalDecorators`) decorator. */
export interface MethodDecoratorOf<Args extends readonly unknown[], Value> {
  <Method extends AsyncMethod<Args, Value>>(method: Method, context: ClassMethodDecoratorContext): Method
  <Method extends AsyncMethod<Args, Value>>(
    target: object,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<Method>,
  ): void
}

/** A decorated method, as far as it is known at its declaration. */
export interface DecoratedMethod {
  readonly name: string | symbol
  /** How many parameters it declares; `undefined` if that cannot be known. */
  readonly parameters: number | undefined
  readonly site: DeclarationSite
  /** The class's prototype; `undefined` for a standard decorator, which does not know its class. */
  readonly prototype: object | undefined
  /** Runs a task for each new object, if the decorator is a standard one. This is how such a decorator learns its class. */
  readonly onObject: (task: (self: object) => void) => void
}

/** A decorator of methods. */
interface Decorator<Choice> {
  /** Its name in messages: `@Cached`. */
  readonly owner: string
  readonly kind: DecoratorKind
  /** Its `cache` option, for a source that registers methods. */
  readonly choice: Choice | undefined
}

/** Returns the replacement of a method. */
type Replace<Args extends readonly unknown[], Value> = (
  method: AsyncMethod<Args, Value>,
  about: DecoratedMethod,
) => AsyncMethod<Args, Value>

/** Returns a decorator of both kinds from the replacement of a method; name, length and Reflect metadata are kept. */
export function decorateMethod<Args extends readonly unknown[], Value, Choice>(
  { owner, kind, choice }: Decorator<Choice>,
  source: CacheSource<Choice>,
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
      return withIdentity(method, replace, {
        name,
        parameters: countParameters(method),
        site,
        prototype: undefined,
        onObject,
      })
    }
    const method = requireMethod<Args, Value>(owner, context, descriptor?.value)
    if (typeof target === 'function') throw staticMethod(owner, context)
    source.decorated?.(target, { name: context, choice, kind })
    const site = declareClass(target, decorator)
    if (source.decorated === undefined && choice === undefined) declareProcessMethod(target, context)
    const parameters = countParameters(method, target, context)
    const about = { name: context, parameters, site, prototype: target, onObject: () => {} }
    descriptor!.value = withIdentity(method, replace, about)
    return undefined
  }
  return decorator as MethodDecoratorOf<Args, Value>
}

function requireMethod<Args extends readonly unknown[], Value>(
  owner: string,
  name: string | symbol | undefined,
  method: unknown,
): AsyncMethod<Args, Value> {
  if (typeof method !== 'function') {
    const what = name === undefined ? 'a class' : String(name)
    throw new MemcacheOptionError(`${owner}: ${what} is not a method: put the decorator on an async method`)
  }
  const kind = String((method as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag])
  if (kind.endsWith('GeneratorFunction')) {
    throw new MemcacheOptionError(
      `${owner}: ${String(name)} is a generator, which cannot be cached: return an array from an async method`,
    )
  }
  return method as AsyncMethod<Args, Value>
}

function staticMethod(owner: string, name: string | symbol): MemcacheOptionError {
  return new MemcacheOptionError(
    `${owner}: ${String(name)} is static, and a static method cannot be cached: use cached(fn, options)`,
  )
}

/**
 * Returns whether the second argument is the context of a standard decorator: an object that describes the decorated
 * method.
 */
function isStandardContext(
  context: ClassMethodDecoratorContext | string | symbol | undefined,
): context is ClassMethodDecoratorContext {
  return typeof context === 'object' && typeof context.kind === 'string'
}

/** Returns the replacement with the method's name, length and metadata. */
function withIdentity<Args extends readonly unknown[], Value>(
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

/** The methods that reflect-metadata adds to `Reflect`. */
interface ReflectMetadata {
  getOwnMetadataKeys?(target: object): unknown[]
  getOwnMetadata(key: unknown, target: object): unknown
  defineMetadata(key: unknown, value: unknown, target: object): void
}

/** Copies the metadata that other decorators, such as Nest's, have stored on the method itself. */
function copyMetadata(from: object, to: object): void {
  const reflect = Reflect as unknown as ReflectMetadata
  for (const key of reflect.getOwnMetadataKeys?.(from) ?? []) {
    reflect.defineMetadata(key, reflect.getOwnMetadata(key, from), to)
  }
}
