import { MemcacheOptionError } from './errors.ts'

/** Returns the kind of a value for an error message: `null`, `text`, `an array`, `a Date`. It never throws. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  switch (typeof value) {
    case 'undefined':
      return 'undefined'
    case 'string':
      return 'text'
    case 'object':
      return kindOfObject(value)
    default:
      return `a ${typeof value}`
  }
}

function kindOfObject(value: object): string {
  try {
    if (Array.isArray(value)) return 'an array'
    const { constructor } = value as { constructor?: unknown }
    if (typeof constructor !== 'function' || constructor.name === '' || constructor === Object) return 'an object'
    return `${/^[AEIOU]/.test(constructor.name) ? 'an' : 'a'} ${constructor.name}`
  } catch {
    // A getter or a proxy has thrown.
    return 'an object'
  }
}

/**
 * Checks a time or a size; `Infinity` is allowed.
 *
 * @throws MemcacheOptionError that names the type of a value that is not a number, since text such as '1000' comes from
 *   the environment.
 */
export function positiveOption(name: string, value: unknown): number {
  if (typeof value === 'number' && value > 0) return value
  throw new MemcacheOptionError(`${name} must be a number greater than 0, got ${shownNumber(value)}`)
}

/**
 * Checks a count; see `positiveOption`.
 *
 * @throws MemcacheOptionError
 */
export function positiveWholeOption(name: string, value: unknown): number {
  if (typeof value === 'number' && value > 0 && Number.isInteger(value)) return value
  throw new MemcacheOptionError(`${name} must be a whole number greater than 0, got ${shownNumber(value)}`)
}

/** Returns a value that should be a number as errors show it: the number, or the type of any other value. */
function shownNumber(value: unknown): string {
  if (typeof value === 'number') return String(value)
  return kindOf(value) + (typeof value === 'string' ? ': convert it with Number(…)' : '')
}

/** The least and the greatest value of an option. */
export type OptionRange = readonly [min: number, max: number]

/** @throws MemcacheOptionError if the value is not a whole number of the range; it names the type of any other value. */
export function rangeOption(name: string, value: unknown, [min, max]: OptionRange): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
  throw new MemcacheOptionError(`${name} must be a whole number from ${min} to ${max}, got ${shownNumber(value)}`)
}

/** @throws MemcacheOptionError if the value is not a boolean, since the text 'false' would count as true. */
export function booleanOption(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  const advice = typeof value === 'string' ? ": compare it with 'true'" : ''
  throw new MemcacheOptionError(`${name} must be true or false, got ${kindOf(value)}${advice}`)
}

/** @throws MemcacheOptionError if the value is not a string. The value is not shown, since it may be a secret. */
export function textOption(name: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw new MemcacheOptionError(`${name} must be text, got ${kindOf(value)}`)
}

/** @throws MemcacheOptionError if the value is not one of the choices. */
export function choiceOption<Choice extends string>(name: string, value: unknown, choices: readonly Choice[]): Choice {
  if (choices.includes(value as Choice)) return value as Choice
  const listed = choices.map((choice) => `'${choice}'`)
  const wanted = listed.length === 1 ? listed[0] : `${listed.slice(0, -1).join(', ')} or ${listed.at(-1)}`
  throw new MemcacheOptionError(
    `${name} must be ${wanted}, got ${typeof value === 'string' ? `'${value}'` : kindOf(value)}`,
  )
}

/**
 * Checks the type of each given option, if its default is a boolean, text or a number: the text 'false' would count as
 * true, and '2' would be compared as text.
 *
 * @param path stands before the names in errors: 'tuning.'.
 * @throws MemcacheOptionError for the first option of another type.
 */
export function checkOptionTypes(
  given: Readonly<Record<string, unknown>>,
  defaults: Readonly<Record<string, unknown>>,
  path = '',
): void {
  for (const [name, value] of Object.entries(given)) {
    const type = typeof defaults[name]
    if (type === 'boolean') booleanOption(path + name, value)
    else if (type === 'string') textOption(path + name, value)
    else if (type === 'number' && typeof value !== 'number') {
      throw new MemcacheOptionError(`${path + name} must be a number, got ${shownNumber(value)}`)
    }
  }
}

/** The options that a function has. */
export interface KnownOptions {
  readonly names: readonly string[]
  /** Option names of other libraries, and the name here. */
  readonly hints?: Readonly<Record<string, string>>
}

/**
 * Refuses unknown options, since a misspelt one would be ignored silently.
 *
 * @throws MemcacheOptionError that names the option and, if there is a similar one, the right name.
 */
export function checkOptions(owner: string, options: object, { names: known, hints = {} }: KnownOptions): void {
  // Without TypeScript, callers may forget the options, and write `app.use(rateLimit)`.
  const given: unknown = options
  if (typeof given !== 'object' || given === null) {
    throw new MemcacheOptionError(`${owner} takes its options as an object, got ${kindOf(given)}`)
  }
  if ('rawHeaders' in given || 'httpVersion' in given) {
    throw new MemcacheOptionError(
      `${owner} was given a request as its options: call it first, as in use(${owner}({ … }))`,
    )
  }
  // A decorator that is not called gets the prototype of its class.
  if ((given.constructor as { prototype?: unknown } | undefined)?.prototype === given) {
    throw new MemcacheOptionError(`${owner} was given a class as its options: call it first, as in ${owner}({ … })`)
  }
  if (!isOptionsRecord(given)) {
    throw new MemcacheOptionError(`${owner} takes its options as an object, { … }, got ${kindOf(given)}`)
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    if (isInstance(given)) {
      throw new MemcacheOptionError(`${owner} takes its options as an object, { … }, got ${kindOf(given)}`)
    }
    const meant = (Object.hasOwn(hints, name) ? hints[name] : undefined) ?? nearest(name, known)
    const advice = meant === undefined ? `it knows ${known.join(', ')}` : `\`${name}\` is \`${meant}\` here`
    throw new MemcacheOptionError(`${owner} has no option '${name}': ${advice}`)
  }
}

/**
 * Returns whether a value is an object that may have options as its properties. An array, a Map, a Date, a boxed number
 * or a promise that was not awaited has none, so that all defaults would be used silently.
 */
export function isOptionsRecord(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  if (Object.getPrototypeOf(value) === Object.prototype) return true
  const tag = Object.prototype.toString.call(value)
  // A namespace object, of `import * as options`, is a record too.
  return tag === '[object Object]' || tag === '[object Module]'
}

/** Returns whether an object is of a class, as a client or a cache in place of options that name it. */
function isInstance(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  // Options may come from another realm, such as a context of jest.
  return prototype !== null && Object.getPrototypeOf(prototype) !== null
}

/** The units at the end of names: two names are not similar because they share one. */
const UNIT = /(seconds|ms|bytes)$/

/** Returns the known name that is most similar to a name, if one is similar enough. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const lower = name.toLowerCase()
  const close = known.map((candidate) => ({ candidate, distance: distanceOf(lower, candidate.toLowerCase()) }))
  close.sort((a, b) => a.distance - b.distance)
  const best = close[0]
  if (best !== undefined && best.distance <= Math.max(1, Math.floor(lower.replace(UNIT, '').length / 3))) {
    return best.candidate
  }
  return known.find((candidate) => candidate.toLowerCase().startsWith(lower))
}

function distanceOf(a: string, b: string): number {
  const unit = UNIT.exec(a)?.[0] ?? ''
  return unit !== '' && b.endsWith(unit)
    ? editDistance(a.slice(0, -unit.length), b.slice(0, -unit.length))
    : editDistance(a, b)
}

/** Returns the Levenshtein distance: how many letters must be changed, inserted or deleted. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}

/**
 * Refuses options in a second argument, where other libraries take them, since they would be ignored silently.
 *
 * @param others the arguments after the first.
 * @throws MemcacheOptionError that says how the options are written.
 */
export function refuseSecondOptions(owner: string, others: readonly unknown[]): void {
  const [second] = others
  if (typeof second !== 'object' || second === null || Array.isArray(second)) return
  throw new MemcacheOptionError(
    `${owner} takes its options as the first argument: ${owner}({ servers: 'a:11211', ${Object.keys(second).join(', ')} })`,
  )
}
