import type { Logger } from '../../logger.ts'
import { classesIn, toPlainData } from './plain-data.ts'
import { isOfClass, isRevived } from './reviver.ts'
import type { Reviver } from './reviver.ts'

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

/** Warns once per class that its instances come back as plain objects. */
export class ClassWarnings {
  readonly #logger: Logger
  readonly #told = new Set<Function>()
  /** The classes that were checked for each reviver: it creates them, or a warning was logged. */
  readonly #checked = new WeakMap<Reviver, Set<Function>>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Returns a loaded value as all callers get it. */
  ofLoad(key: string, value: unknown): unknown {
    return toPlainData(value, (constructor) => this.#tell(constructor, key))
  }

  /**
   * Returns an explicitly stored value as plain data. It warns unless one of its classes is the `type` of a cache in
   * this process, since the readers are not known here.
   */
  ofSet(key: string, value: unknown): unknown {
    const classes: Function[] = []
    const plain = toPlainData(value, (constructor) => classes.push(constructor))
    if (!classes.some(isRevived)) for (const constructor of classes) this.#tell(constructor, key)
    return plain
  }

  /** Returns a loaded value as plain data, and warns about classes that its reviver does not create again. */
  async ofRevived(key: string, value: unknown, revive: Reviver): Promise<unknown> {
    const classes = new Set<Function>()
    const plain = toPlainData(value, (constructor) => void classes.add(constructor))
    // What `toJSON` returns may be a text, which is its own original.
    if (plain !== value && typeof plain === 'object' && plain !== null) ORIGINALS.set(plain, value)
    if (classes.size === 0 || !isOfClass(revive)) return plain
    const checked = this.#checked.get(revive) ?? new Set()
    this.#checked.set(revive, checked)
    const unchecked = [...classes].filter((constructor) => !checked.has(constructor))
    if (unchecked.length === 0) return plain
    const made = classesIn(await revive(plain))
    for (const constructor of unchecked) {
      checked.add(constructor)
      if (made.has(constructor)) continue
      this.#warn(
        `${key} holds an instance of ${constructor.name}, which comes back as something else: give its property @Type(() => ${constructor.name}) of class-transformer, or use revive in place of type`,
      )
    }
    return plain
  }

  #tell(constructor: Function, key: string): void {
    if (this.#told.has(constructor) || this.#told.size >= MAX_WARNINGS) return
    this.#told.add(constructor)
    const name = constructor.name === '' ? 'an instance of a class' : `an instance of ${constructor.name}`
    this.#warn(
      `${key}: ${name} is stored as plain data, and every caller gets a plain object, on a miss as on a hit: set the option type: ${constructor.name || 'the class'}, or revive, or return plain data`,
    )
  }

  #warn(message: string): void {
    this.#logger.warn(`memcache-ts: ${message}`)
  }
}
