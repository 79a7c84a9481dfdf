import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import { requireOptions } from '../../option-types.ts'
import { nestedTypeOf, typeMetadataStorage } from './type-metadata.ts'
import type { TypeMetadataStorage } from './type-metadata.ts'

/** A class. */
export type AnyClass = abstract new (...args: never[]) => object

/** How instances of a class are created again from stored plain data. */
export interface RevivingOptions {
  /**
   * The class of the values, or of the items of arrays, Maps and Sets. The instances are created without calling the
   * constructor; if class-transformer is installed, its `@Type` decorators give the classes of their properties. A
   * function that is not a class is treated as `revive`.
   */
  type?: AnyClass | Revive | undefined
  /** Creates a value from the stored plain data. It is not called for `null` and `undefined`. */
  revive?: Revive | undefined
}

// Typed as a method, so that a function may declare the type of its parameter.
export type Revive = { of(stored: never): unknown }['of']

/** Creates a caller's value from a stored one; the stored value is the caller's own copy. */
export type Reviver = (stored: unknown) => unknown

const BY_CLASS = new WeakMap<AnyClass, Reviver>()
const CLASSES = new WeakMap<Reviver, AnyClass>()

/**
 * Returns the reviver of the options; `undefined` if they have none.
 *
 * @throws MemcacheOptionError if an option is not a function, or both are given.
 */
export function reviverOf({ type, revive }: RevivingOptions): Reviver | undefined {
  if (type === undefined && revive === undefined) return undefined
  if (type !== undefined && revive !== undefined) {
    throw new MemcacheOptionError('type and revive exclude each other: set either the class or the function')
  }
  if (revive !== undefined) {
    if (typeof revive !== 'function' || isClass(revive)) {
      throw new MemcacheOptionError(
        `revive must be a function of the stored value, got ${describe(revive)}: pass a class as type`,
      )
    }
    return reviverBy(revive)
  }
  if (typeof type !== 'function') {
    throw new MemcacheOptionError(`type must be a class, or a function of the stored value, got ${describe(type)}`)
  }
  return isClass(type) ? reviverOfClass(type) : reviverBy(type)
}

/**
 * Returns the reviver of a call's options.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function toReviver(owner: string, options: RevivingOptions): Reviver | undefined {
  requireOptions(owner, options)
  checkOptions(owner, options, { names: ['type', 'revive'], hints: { class: 'type', transform: 'revive' } })
  return reviverOf(options)
}

function reviverBy(revive: Revive): Reviver {
  return (stored) => (stored === null || stored === undefined ? stored : revive(stored as never))
}

/** Returns the reviver of a class, as by the option `type`. */
export function reviverOfClass(type: AnyClass): Reviver {
  let reviver = BY_CLASS.get(type)
  if (reviver === undefined) {
    const typeOf = (): Function => type
    reviver = async (stored) => (isObject(stored) ? instancesOf(typeOf, stored, await typeMetadataStorage()) : stored)
    BY_CLASS.set(type, reviver)
    CLASSES.set(reviver, type)
  }
  return reviver
}

/** Returns the class of a reviver that comes from `type`, so that it does not change the value that it is given. */
export function classOfReviver(revive: Reviver): AnyClass | undefined {
  return CLASSES.get(revive)
}

/** Returns whether a class is the `type` of a cache in this process. */
export function isRevived(constructor: Function): boolean {
  return BY_CLASS.has(constructor as AnyClass)
}

/**
 * Returns the class of a value, of the items of an array, a Map or a Set, or a class that it extends, which is the
 * `type` of a cache in this process; `undefined` if there is none.
 */
export function revivedTypeOf(value: unknown): AnyClass | undefined {
  if (!isObject(value)) return undefined
  const items = value instanceof Map ? value.values() : Array.isArray(value) || value instanceof Set ? value : undefined
  if (items !== undefined) {
    for (const item of items as Iterable<unknown>) {
      const type = revivedTypeOf(item)
      if (type !== undefined) return type
    }
    return undefined
  }
  let prototype = Object.getPrototypeOf(value) as object | null
  for (; prototype !== null && prototype !== Object.prototype; prototype = Object.getPrototypeOf(prototype) as object) {
    const { constructor } = prototype
    if (typeof constructor === 'function' && isRevived(constructor)) return constructor as unknown as AnyClass
  }
  return undefined
}

/** Returns the class of a stored object; `undefined` if it stays plain. */
type TypeOf = (stored: object) => Function | undefined

/** Returns an instance, or a collection of instances, for plain data. */
function instancesOf(typeOf: TypeOf, stored: object, storage: TypeMetadataStorage | undefined): unknown {
  const item = (value: unknown): unknown => (isObject(value) ? instancesOf(typeOf, value, storage) : value)
  if (Array.isArray(stored)) return stored.map(item)
  if (stored instanceof Set) return new Set([...stored].map(item))
  if (stored instanceof Map) return new Map([...stored].map(([key, value]) => [key, item(value)]))
  // Objects that already have a class have their own stored form: dates, bytes, errors, URLs.
  if (!isPlainObject(stored)) return stored
  const type = typeOf(stored)
  if (type === undefined) return stored
  const instance = Object.create(type.prototype as object) as object
  for (const [key, value] of Object.entries(stored)) {
    const hasType = storage !== undefined && isObject(value)
    const nestedType = (nested: object) => nestedTypeOf(storage!, { owner: type, property: key, value: nested })
    // Defined, not assigned: these were own properties of the object, even if its class has setters.
    Object.defineProperty(instance, key, {
      value: hasType ? instancesOf(nestedType, value, storage) : value,
      enumerable: true,
      writable: true,
      configurable: true,
    })
  }
  return instance
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** Returns whether a function is declared as a class, or was one before it was compiled. */
function isClass(value: Function): value is AnyClass {
  const { prototype } = value as { prototype?: object }
  if (prototype === undefined || prototype === null) return false
  return (
    /^class\b/.test(Function.prototype.toString.call(value)) ||
    Object.getOwnPropertyNames(prototype).length > 1 ||
    Object.getPrototypeOf(prototype) !== Object.prototype
  )
}

function describe(value: unknown): string {
  return typeof value === 'function' ? value.name || 'a function' : value === null ? 'null' : typeof value
}
