import { MemcacheOptionError } from './errors.ts'
import { kindOf } from './kind-of.ts'

/**
 * Checks a time, a size or a count; `Infinity` is allowed unless it must be whole.
 *
 * @throws MemcacheOptionError that names the type of a value that is not a number, since text such as '1000' comes from
 *   the environment.
 */
export function positiveOption(name: string, value: unknown, whole = false): number {
  const wanted = `${name} must be ${whole ? 'a whole number' : 'a number'} over 0`
  if (typeof value !== 'number') {
    const advice = typeof value === 'string' ? ': convert it with Number(…)' : ''
    throw new MemcacheOptionError(`${wanted}, got ${kindOf(value)}${advice}`)
  }
  if (!(value > 0) || (whole && !Number.isInteger(value))) throw new MemcacheOptionError(`${wanted}, got ${value}`)
  return value
}

/** The least and the greatest value of an option. */
export type OptionRange = readonly [min: number, max: number]

/** @throws MemcacheOptionError if the value is not a whole number of the range; it names the type of any other value. */
export function rangeOption(name: string, value: unknown, [min, max]: OptionRange): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
  const got = typeof value === 'number' ? value : kindOf(value)
  const advice = typeof value === 'string' ? ': convert it with Number(…)' : ''
  throw new MemcacheOptionError(`${name} must be a whole number from ${min} to ${max}, got ${got}${advice}`)
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
 * Checks each option that is given against the type of its default, where that is a boolean, text or a number: the text
 * 'false' would count as true, and '2' would be compared as text.
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
      const advice = typeof value === 'string' ? ': convert it with Number(…)' : ''
      throw new MemcacheOptionError(`${path + name} must be a number, got ${kindOf(value)}${advice}`)
    }
  }
}
