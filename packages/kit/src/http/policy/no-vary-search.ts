import { parseDictionary } from 'structured-headers'
import { lineOf } from '../fields.ts'
import type { Fields } from '../fields.ts'

/** The differences between queries that do not matter (`No-Vary-Search`). */
export interface SearchRule {
  /** Whether the order of parameters does not matter. */
  readonly keyOrder: boolean
  /** The parameters that do not matter; `true` means all except those in `except`. */
  readonly params: readonly string[] | true
  readonly except: readonly string[]
}

/** Returns the rule of a response; `undefined` if the field is missing, invalid, or has no effect. */
export function searchRuleOf(fields: Fields): SearchRule | undefined {
  const line = lineOf(fields, 'no-vary-search')
  if (line === undefined) return undefined
  try {
    const members = parseDictionary(line)
    const keyOrder = members.get('key-order')?.[0] ?? false
    const params = members.get('params')?.[0] ?? false
    const except = members.get('except')?.[0] ?? []
    if (typeof keyOrder !== 'boolean' || !(typeof params === 'boolean' || isNames(params)) || !isNames(except))
      return undefined
    // `except` is valid only if all other parameters do not matter.
    if (members.has('except') && params !== true) return undefined
    const names = typeof params === 'boolean' ? [] : params.map(([name]) => name as string)
    if (!keyOrder && params !== true && names.length === 0) return undefined
    return {
      keyOrder,
      params: params === true ? true : names.sort(),
      except: except.map(([name]) => name as string).sort(),
    }
  } catch {
    return undefined
  }
}

function isNames(value: unknown): value is [unknown, unknown][] {
  return Array.isArray(value) && value.every((item) => Array.isArray(item) && typeof item[0] === 'string')
}

export function isSameRule(one: SearchRule | undefined, other: SearchRule | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

/** Returns a URL without the differences that do not matter by a rule. */
export function searchedUrl(url: string, { keyOrder, params, except }: SearchRule): string {
  const start = url.indexOf('?')
  if (start === -1 || !isSplitByAmpersand(url)) return url
  const isKept = (parameter: string): boolean => {
    const name = parameterName(parameter)
    return params === true ? except.includes(name) : !params.includes(name)
  }
  const kept = url
    .slice(start + 1)
    .split('&')
    .filter((parameter) => parameter !== '' && isKept(parameter))
  if (keyOrder) {
    const named = kept.map((parameter) => ({ parameter, name: parameterName(parameter) }))
    // Several values of one name are a list, whose order matters.
    named.sort((one, other) => (one.name === other.name ? 0 : one.name < other.name ? -1 : 1))
    return withQuery(
      url.slice(0, start),
      named.map(({ parameter }) => parameter),
    )
  }
  return withQuery(url.slice(0, start), kept)
}

function withQuery(path: string, parameters: readonly string[]): string {
  return parameters.length === 0 ? path : `${path}?${parameters.join('&')}`
}

/** Parses a stored rule; `undefined` if it is invalid. */
export function asSearchRule(given: unknown): SearchRule | undefined {
  if (typeof given !== 'object' || given === null) return undefined
  const { keyOrder, params, except } = given as Record<string, unknown>
  if (typeof keyOrder !== 'boolean' || !isTexts(except)) return undefined
  return params === true || isTexts(params) ? { keyOrder, params, except } : undefined
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === 'string')
}

/**
 * Returns whether all parsers find the same parameters in a query. Some parsers also split it at `;`, so a parameter
 * that is ignored here might contain others there. A query with `;` is left as it is.
 */
export function isSplitByAmpersand(url: string): boolean {
  return !url.includes(';')
}

/** Returns the decoded name of a query parameter. */
export function parameterName(parameter: string): string {
  const name = parameter.split('=', 1)[0]!
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}
