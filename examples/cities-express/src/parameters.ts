import type { CityChange } from 'cities-data'
import { fold } from 'cities-data'
import { RequestError } from './problem.ts'

// Postgres does not allow NUL in text; no search needs the other control characters.
const CONTROL = /\p{Control}/u
const MAX_INTEGER = 2 ** 31 - 1

interface Bounds {
  min: number
  max: number
  default?: number
}

/** @throws RequestError 400 if the query has no such number within the bounds and there is no default. */
export function numberParameter(query: Record<string, unknown>, name: string, bounds: Bounds): number {
  const text = query[name]
  if (text === undefined && bounds.default !== undefined) return bounds.default
  const value = typeof text === 'string' && text.trim() !== '' ? Number(text) : NaN
  if (value >= bounds.min && value <= bounds.max) return value
  throw new RequestError(400, `${name} must be one number from ${bounds.min} to ${bounds.max}${given(text)}.`)
}

/** @throws RequestError 400 if the query has no such text, or the text has nothing to search for. */
export function textParameter(query: Record<string, unknown>, name: string): string {
  const text = query[name]
  if (typeof text === 'string' && text.length <= 100 && fold(text).trim() !== '' && !CONTROL.test(text)) {
    return text.trim()
  }
  throw new RequestError(400, `${name} must be one text of 1 to 100 characters${given(text)}.`)
}

/** @throws RequestError 400 if the text is not the id of a city. */
export function cityId(text: string): number {
  if (/^[1-9]\d{0,9}$/.test(text) && Number(text) <= MAX_INTEGER) return Number(text)
  throw new RequestError(400, `The id of a city is a whole number, as 2988507 is${given(text)}.`)
}

/** @throws RequestError 400 if the body does not change a city's name or population. */
export function cityChange(body: unknown): CityChange {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new RequestError(400, 'The body must be a JSON object, as {"population": 2138551} is, with its Content-Type.')
  }
  const { name, population, ...others } = body as Record<string, unknown>
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) {
    throw new RequestError(400, `Only name and population can be changed, not ${JSON.stringify(unknown)}.`)
  }
  const change: CityChange = {}
  if (name !== undefined) {
    if (typeof name !== 'string' || name.trim() === '' || name.length > 200 || CONTROL.test(name)) {
      throw new RequestError(400, `name must be a text of 1 to 200 characters${given(name)}.`)
    }
    change.name = name.trim()
  }
  if (population !== undefined) {
    if (typeof population !== 'number' || !Number.isInteger(population) || population < 0 || population > MAX_INTEGER) {
      throw new RequestError(400, `population must be a whole number from 0 to ${MAX_INTEGER}${given(population)}.`)
    }
    change.population = population
  }
  if (Object.keys(change).length === 0) {
    throw new RequestError(400, 'There is nothing to change: give name, population or both.')
  }
  return change
}

function given(value: unknown): string {
  return value === undefined ? ', and is missing' : `, not ${JSON.stringify(value).slice(0, 120)}`
}
