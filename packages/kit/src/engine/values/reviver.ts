import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import { requireOptions } from '../../option-types.ts'
import { nestedTypeOf, typeMetadataStorage } from './type-metadata.ts'
import type { TypeMetadataStorage } from './type-metadata.ts'

/** A class, as a value. */
export type AnyClass = abstract new (...args: never[]) => object

/** How instances of a class are made again from what is stored, which is plain data. */
export interface RevivingOptions {
  /**
   * The class of the values, or of the items of arrays, Maps and Sets. They get their methods back without a call of the
   * constructor; `@Type` of class-transformer, where it is installed, says the classes of their properties. A function
   * that is no class is taken as `revive`.
   */
  type?: AnyClass | Revive | undefined
  /** Makes a value from what is stored. Not called for `null` and `undefined`. */
  revive?: Revive | undefined
}

// As a method, so that a function may say which type it takes.
export type Revive = { of(stored: never): unknown }['of']

/** Makes a caller's value from a stored one, which is the caller's own. */
export type Reviver = (stored: unknown) => unknown

const BY_CLASS = new WeakMap<AnyClass, Reviver>()
const OF_CLASSES = new WeakSet<Reviver>()

/**
 * What makes values of what is stored; `undefined` where the options say nothing of it.
 * @throws MemcacheOptionError if an option is not a function, or both are given.
 */
export function reviverOf({ type, revive }: RevivingOptions): Reviver | undefined {
  if (type === undefined && revive === undefined) return undefined
  if (type !== undefined && revive !== undefined) {
    throw new MemcacheOptionError('type and revive exclude each other: give the class, or the function that makes it')
  }
  if (revive !== undefined) {
    if (typeof revive !== 'function' || isClass(revive)) {
      throw new MemcacheOptionError(
        `revive must be a function of what is stored, got ${describe(revive)}: a class is given as type`,
      )
    }
    return reviverBy(revive)
  }
  if (typeof type !== 'function') {
    throw new MemcacheOptionError(`type must be a class, or a function of what is stored, got ${describe(type)}`)
  }
  return isClass(type) ? reviverOfClass(type) : reviverBy(type)
}

/** The reviver of a call's options. @throws MemcacheOptionError if an option is unknown or invalid. */
export function toReviver(owner: string, options: RevivingOptions): Reviver | undefined {
  requireOptions(owner, options)
  checkOptions(owner, options, ['type', 'revive'], { class: 'type', transform: 'revive' })
  return reviverOf(options)
}

function reviverBy(revive: Revive): Reviver {
  return (stored) => (stored === null || stored === undefined ? stored : revive(stored as never))
}

function reviverOfClass(type: AnyClass): Reviver {
  let reviver = BY_CLASS.get(type)
  if (reviver === undefined) {
    const typeOf = (): Function => type
    reviver = async (stored) => (isObject(stored) ? instancesOf(typeOf, stored, await typeMetadataStorage()) : stored)
    BY_CLASS.set(type, reviver)
    OF_CLASSES.add(reviver)
  }
  return reviver
}

/** Whether a reviver is one of a `type`, so that it changes nothing of what it is given. */
export function isOfClass(revive: Reviver): boolean {
  return OF_CLASSES.has(revive)
}

/** Whether instances of a class are made again somewhere in this process. */
export function isRevived(constructor: Function): boolean {
  return BY_CLASS.has(constructor as AnyClass)
}

/** The class of an object; `undefined` for one that stays plain. */
type TypeOf = (stored: object) => Function | undefined

/** An instance, or what holds some, in place of plain data. */
function instancesOf(typeOf: TypeOf, stored: object, storage: TypeMetadataStorage | undefined): unknown {
  const item = (value: unknown): unknown => (isObject(value) ? instancesOf(typeOf, value, storage) : value)
  if (Array.isArray(stored)) return stored.map(item)
  if (stored instanceof Set) return new Set([...stored].map(item))
  if (stored instanceof Map) return new Map([...stored].map(([key, value]) => [key, item(value)]))
  // What has a class already has a form of its own in memcached: dates, bytes, errors, URLs.
  if (!isPlainObject(stored)) return stored
  const type = typeOf(stored)
  if (type === undefined) return stored
  const instance = Object.create(type.prototype as object) as object
  for (const [key, value] of Object.entries(stored)) {
    const hasType = storage !== undefined && isObject(value)
    // Defined, not assigned: these were properties of the object itself, whatever setters its class has.
    Object.defineProperty(instance, key, {
      value: hasType ? instancesOf((nested) => nestedTypeOf(storage, type, key, nested), value, storage) : value,
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

/** Whether a function is declared as a class, or was one before it was compiled. */
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
