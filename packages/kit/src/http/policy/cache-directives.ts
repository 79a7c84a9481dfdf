import { parseDictionary } from 'structured-headers'
import type { Item, InnerList } from 'structured-headers'

/** A directive's argument; `true` if it has none. */
type Argument = string | true

/** Directives whose argument is a number. */
const IN_SECONDS: ReadonlySet<string> = new Set(['max-age', 's-maxage', 'stale-while-revalidate', 'stale-if-error'])

/**
 * The largest number of seconds in HTTP, practically endless: larger numbers count as this (RFC 9111, section 1.2.2).
 * Unlike `Infinity`, JSON can represent it.
 */
export const MAX_DELTA_SECONDS = 2 ** 31

/** A token (RFC 9110, section 5.6.2). */
const TOKEN = /^[!#$%&'*+.^_`|~\da-z-]+$/i
/** The names of directives that forbid something. */
const FORBIDDING = /(?<![\w-])(?:private|no-store|no-cache)(?![\w-])/gi

/**
 * The directives of `Cache-Control` (RFC 9111, section 5.2). Names are case-insensitive. Members that are not
 * directives are skipped, and so are directives with space around their `=` and text in quotes; but `private`,
 * `no-store` and `no-cache` count in members of any form, such as `private; max-age=60`, since the application wants to
 * forbid something.
 */
export class CacheDirectives {
  /** The arguments of each directive, in the order of the field. */
  readonly #directives = new Map<string, Argument[]>()

  private constructor(directives: Iterable<Directive>) {
    for (const { name, argument } of directives) this.#add(name, argument)
  }

  /** Parses a `Cache-Control` line. */
  static of(line: string | undefined): CacheDirectives {
    const members = line === undefined ? [] : splitMembers(line)
    return new CacheDirectives(members.flatMap(parseMember))
  }

  /**
   * Parses a targeted field such as `CDN-Cache-Control` (RFC 9213, section 2.1); `undefined` if it is missing, empty,
   * not a structured field, or has values of another type, so that `Cache-Control` applies.
   */
  static ofTargeted(line: string | undefined): CacheDirectives | undefined {
    if (line === undefined) return undefined
    try {
      const members = [...parseDictionary(line)]
      const isOfType = members.every(([name, [value]]) => !IN_SECONDS.has(name) || Number.isInteger(value))
      return members.length === 0 || !isOfType ? undefined : new CacheDirectives(members.flatMap(asDirective))
    } catch {
      return undefined
    }
  }

  has(name: string): boolean {
    return this.#directives.has(name)
  }

  /** Returns whether the directive is present without an argument. */
  hasBare(name: string): boolean {
    return this.#directives.get(name)?.includes(true) === true
  }

  /**
   * Returns whether `no-cache` or `private` applies to the whole message, rather than only to the fields that it names.
   * If its argument is not a list of fields, as in `private=""`, it applies to the whole.
   */
  coversMessage(name: 'no-cache' | 'private'): boolean {
    const given = this.#directives.get(name)
    return given?.some((argument) => argument === true || fieldNames(argument) === undefined) === true
  }

  /** Returns the fields that `no-cache="…"` or `private="…"` name, in lower case. */
  fields(name: 'no-cache' | 'private'): string[] {
    const given = this.#directives.get(name) ?? []
    return given.flatMap((argument) => (argument === true ? [] : (fieldNames(argument) ?? [])))
  }

  /**
   * Returns a number of seconds; `undefined` if the directive is missing. Invalid or conflicting values count as 0 (RFC
   * 9111, section 4.2.1).
   */
  seconds(name: string): number | undefined {
    const found = this.#directives.get(name)
    if (found === undefined) return undefined
    const [first] = found
    const isClear = typeof first === 'string' && /^\d+$/.test(first) && found.every((argument) => argument === first)
    return isClear ? Math.min(MAX_DELTA_SECONDS, Number(first)) : 0
  }

  #add(name: string, argument: Argument): void {
    const before = this.#directives.get(name)
    if (before === undefined) this.#directives.set(name, [argument])
    else before.push(argument)
  }
}

/**
 * Splits a field at its commas outside of quotes, and trims the members. If a quote is never closed, the text is read
 * again without it, so that it hides no later directive.
 */
function splitMembers(line: string): string[] {
  const members: string[] = []
  let start = 0
  let isQuoted = false
  for (let index = 0; index < line.length; index++) {
    const character = line[index]
    if (isQuoted) {
      if (character === '\\') index++
      else if (character === '"') isQuoted = false
    } else if (character === '"') {
      isQuoted = true
    } else if (character === ',') {
      members.push(line.slice(start, index).trim())
      start = index + 1
    }
  }
  const rest = isQuoted ? line.slice(start).split(',') : [line.slice(start)]
  for (const member of rest) members.push(member.trim())
  return members
}

/** A directive with its argument. */
interface Directive {
  readonly name: string
  readonly argument: Argument
}

/** Returns the names of a list of fields, in lower case; `undefined` if it is empty or is not such a list. */
function fieldNames(list: string): string[] | undefined {
  const names = list.split(',').map((name) => name.trim().toLowerCase())
  return names.every((name) => TOKEN.test(name)) ? names : undefined
}

/**
 * Parses `token [ "=" ( token / quoted-string ) ]` (RFC 9111, section 5.2). A member of another form is no directive,
 * except for the forbidding ones in it.
 */
function parseMember(member: string): Directive[] {
  if (member === '') return []
  const equals = member.indexOf('=')
  const name = equals === -1 ? member : member.slice(0, equals)
  const text = equals === -1 ? undefined : member.slice(equals + 1)
  const isQuoted = text !== undefined && text.length > 1 && text.startsWith('"') && text.endsWith('"')
  const directives: Directive[] = []
  if (name !== '' && !/[\s"]/.test(name)) {
    if (text === undefined) directives.push({ name: name.toLowerCase(), argument: true })
    else if (isQuoted) directives.push({ name: name.toLowerCase(), argument: unquoted(text) })
    else if (!/[\s"]/.test(text)) directives.push({ name: name.toLowerCase(), argument: text })
  }
  const isWellFormed = TOKEN.test(name) && (text === undefined || isQuoted || TOKEN.test(text))
  if (!isWellFormed)
    for (const [word] of member.matchAll(FORBIDDING)) directives.push({ name: word.toLowerCase(), argument: true })
  return directives
}

function unquoted(text: string): string {
  return text.slice(1, -1).replaceAll(/\\(.)/g, '$1')
}

/**
 * Converts a member of a structured field; a member that is false counts as missing. A forbidding directive counts with
 * any other value, and as a parameter of another member, such as `max-age=60;private`.
 */
function asDirective([name, [value, parameters]]: [string, Item | InnerList]): Directive[] {
  const forbidden = [...parameters.keys()].filter((key) => isForbidding(key))
  const directives: Directive[] = forbidden.map((key) => ({ name: key, argument: true }))
  if (value === false) return directives
  if (value === true || typeof value === 'string') return [...directives, { name, argument: value }]
  if (isForbidding(name)) return [...directives, { name, argument: true }]
  return [...directives, { name, argument: typeof value === 'number' ? String(value) : '' }]
}

function isForbidding(name: string): boolean {
  return name === 'private' || name === 'no-store' || name === 'no-cache'
}
