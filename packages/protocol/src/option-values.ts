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
