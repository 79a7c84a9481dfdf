import { types } from 'node:util'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { Logger } from '../../logger.ts'
import { classesIn, forEachInstance, toPlainData } from './plain-data.ts'
import { classOfReviver, isRevived, reviverOfClass, revivedTypeOf } from './reviver.ts'
import type { AnyClass, Reviver } from './reviver.ts'
import { hasSerializerRules, typeMetadataStorage } from './type-metadata.ts'

/** The number of classes that are logged: classes that are created at run time must not fill the log. */
const MAX_WARNINGS = 100

/** The instances that loaders returned, by the plain data that is stored for them. */
const ORIGINALS = new WeakMap<object, unknown>()

/**
 * Returns the value as the loader returned it, for an option function that takes the value; the value itself if it was
 * not converted.
 */
export function originalOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && ORIGINALS.has(value) ? ORIGINALS.get(value) : value
}

/** A loaded value that is not stored, since it could not be created again. Its caller gets it. */
export class UnrevivableValue {
  readonly value: unknown
  readonly reason: MemcacheOptionError

  constructor(value: unknown, reason: MemcacheOptionError) {
    this.value = value
    this.reason = reason
  }
}

/** Warns once per class that its instances come back as plain objects. */
export class ClassWarnings {
  readonly #logger: Logger
  readonly #warned = new Set<Function>()
  /** The classes that were checked for each reviver: it creates them, or a warning was logged. */
  readonly #checked = new WeakMap<Reviver, Set<Function>>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Returns a loaded value as all callers get it. */
  ofLoad(key: string, value: unknown): unknown {
    return toPlainData(value, (constructor) => this.#warnUnlessWarned(constructor, key))
  }

  /**
   * Returns an explicitly stored value as plain data. It warns unless one of its classes is the `type` of a cache in
   * this process, since the readers are not known here.
   */
  ofSet(key: string, value: unknown): unknown {
    // A promise that was not awaited is refused, and nobody would handle its rejection.
    if (types.isPromise(value)) void Promise.prototype.then.call(value, undefined, () => {})
    const classes: Function[] = []
    const plain = toPlainData(value, (constructor) => classes.push(constructor))
    if (!classes.some(isRevived)) for (const constructor of classes) this.#warnUnlessWarned(constructor, key)
    return plain
  }

  /**
   * Checks an explicitly stored value whose class is the `type` of a cache in this process, as its readers would get
   * it. Returns `undefined` for any other value, which needs no check.
   *
   * @throws MemcacheOptionError if readers would get an instance without the rules that hide its properties.
   */
  checkSet(value: unknown): Promise<void> | undefined {
    if (typeof value !== 'object' || value === null) return undefined
    const type = typeOfSet(value)
    return type === undefined ? undefined : refuseLostRules(type, value)
  }

  /** Returns a loaded value as plain data, and warns about classes that its reviver does not create again. */
  async ofRevived(key: string, value: unknown, revive: Reviver): Promise<unknown> {
    const classes = new Set<Function>()
    const plain = toPlainData(value, (constructor) => void classes.add(constructor))
    // `toJSON` may return a string, and a WeakMap takes only objects as keys.
    if (plain !== value && typeof plain === 'object' && plain !== null) ORIGINALS.set(plain, value)
    const type = classOfReviver(revive)
    if (classes.size === 0 || type === undefined) return plain
    const wrappers = countWrappers(value)
    // The reviver would create an instance of the type from the wrapper and leave the instances in it as plain objects,
    // whose properties no serializer hides.
    if (wrappers > 0 && countOf(type, await revive(plain)) < countOf(type, value) + wrappers)
      return new UnrevivableValue(value, wrapperError(type))
    // Instances that come back as plain objects would be serialized with the properties that their class hides.
    const lost = await lostRules(classes, { type, value, revive: () => revive(plain) })
    if (lost !== undefined) return new UnrevivableValue(value, lostRulesError(type, lost))
    const checked = this.#checked.get(revive) ?? new Set()
    this.#checked.set(revive, checked)
    const unchecked = [...classes].filter((constructor) => !checked.has(constructor))
    if (unchecked.length === 0) return plain
    const made = classesIn(await revive(plain))
    for (const constructor of unchecked) {
      checked.add(constructor)
      if (made.has(constructor)) continue
      this.#warn(
        `${key} holds an instance of ${constructor.name}, and every caller gets a plain object or an instance of another class in its place: give its property @Type(() => ${constructor.name}) of class-transformer, or use revive in place of type`,
      )
    }
    return plain
  }

  #warnUnlessWarned(constructor: Function, key: string): void {
    if (this.#warned.has(constructor) || this.#warned.size >= MAX_WARNINGS) return
    this.#warned.add(constructor)
    const name = constructor.name === '' ? 'an instance of a class' : `an instance of ${constructor.name}`
    this.#warn(
      `${key}: ${name} is stored as plain data, and every caller gets a plain object, on a miss as on a hit: set the option type: ${constructor.name || 'the class'}, or revive, or return plain data`,
    )
  }

  #warn(message: string): void {
    this.#logger.warn(`memcache-ts: ${message}`)
  }
}

/**
 * Returns how many plain objects a value has where `type` stands for an instance: the value itself, or the items of
 * arrays, Maps and Sets.
 */
function countWrappers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const items = value instanceof Map ? value.values() : Array.isArray(value) || value instanceof Set ? value : undefined
  if (items === undefined) {
    const prototype: unknown = Object.getPrototypeOf(value)
    return prototype === Object.prototype || prototype === null ? 1 : 0
  }
  let count = 0
  for (const item of items as Iterable<unknown>) count += countWrappers(item)
  return count
}

/** Returns how many instances of a class or its subclasses a value holds. */
function countOf(type: AnyClass, value: unknown): number {
  let count = 0
  forEachInstance(value, (constructor) => {
    if (isSameOrSubclass(constructor, type)) count++
  })
  return count
}

function isSameOrSubclass(constructor: Function, type: AnyClass): boolean {
  return constructor === type || constructor.prototype instanceof type
}

/**
 * Returns a class of a value that has its own rules of class-transformer, and of which the reviver does not create all
 * instances; `undefined` if there is none.
 */
async function lostRules(
  classes: ReadonlySet<Function>,
  { type, value, revive }: { type: AnyClass; value: unknown; revive: () => unknown },
): Promise<Function | undefined> {
  const others = [...classes].filter((constructor) => constructor !== type)
  const storage = others.length === 0 ? undefined : await typeMetadataStorage()
  if (storage === undefined) return undefined
  const ruled = others.filter((constructor) => hasSerializerRules(storage, constructor))
  if (ruled.length === 0) return undefined
  const revived = await revive()
  const keepsType = countOf(type, revived) >= countOf(type, value)
  return ruled.find((constructor) => {
    const of = constructor as AnyClass
    if (countOf(of, revived) >= countOf(of, value)) return false
    // An instance of a subclass comes back as one of `type`, with the rules of `type`.
    return !keepsType || !isSameOrSubclass(constructor, type) || hasSerializerRules(storage, constructor, type)
  })
}

function typeOfSet(value: object): AnyClass | undefined {
  try {
    return revivedTypeOf(value)
  } catch {
    // A circular value, or a Proxy that throws, is refused when it is encoded.
    return undefined
  }
}

async function refuseLostRules(type: AnyClass, value: object): Promise<void> {
  const classes = new Set<Function>()
  const plain = toPlainData(value, (constructor) => void classes.add(constructor))
  const lost = await lostRules(classes, { type, value, revive: () => reviverOfClass(type)(plain) })
  if (lost !== undefined) throw lostRulesError(type, lost)
}

function lostRulesError(type: AnyClass, lost: Function): MemcacheOptionError {
  const name = lost.name === '' ? 'a class' : lost.name
  return new MemcacheOptionError(
    `type: ${type.name} does not bring back the instances of ${name}, whose @Exclude, @Expose or @Transform would have no effect: give their property @Type(() => ${name}) of class-transformer, or use revive in place of type`,
  )
}

function wrapperError(type: AnyClass): MemcacheOptionError {
  const { name } = type
  return new MemcacheOptionError(
    `type: ${name} is the class of the value itself, or of the items of an array, a Map or a Set, but the value is a plain object with instances of ${name} in it: make it an instance of a class with @Type of class-transformer, or use revive in place of type`,
  )
}
