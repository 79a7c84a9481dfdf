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

/**
 * The directives of `Cache-Control` (RFC 9111, section 5.2). Names are case-insensitive. Members that are not
 * directives are skipped, and so are directives with space around their `=` and text in quotes.
 */
export class CacheDirectives {
  /** The arguments of each directive, in the order of the field. */
  readonly #directives = new Map<string, Argument[]>()

  private constructor(directives: Iterable<{ name: string; argument: Argument }>) {
    for (const { name, argument } of directives) this.#add(name, argument)
  }

  /** Parses a `Cache-Control` line. */
  static of(line: string | undefined): CacheDirectives {
    const members = line === undefined ? [] : splitMembers(line)
    return new CacheDirectives(members.flatMap((member) => parseDirective(member) ?? []))
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

  /** Returns whether the directive applies to the whole message, rather than only to the fields that it names. */
  hasBare(name: string): boolean {
    return this.#directives.get(name)?.includes(true) === true
  }

  /** Returns the fields that `no-cache="…"` or `private="…"` name, in lower case. */
  fields(name: string): string[] {
    const named = this.#directives.get(name)?.filter((argument) => argument !== true) ?? []
    return named.flatMap((argument) => argument.split(',').map((field) => field.trim().toLowerCase()))
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

/** Parses `token [ "=" ( token / quoted-string ) ]` (RFC 9111, section 5.2); returns `undefined` for everything else. */
function parseDirective(member: string): { name: string; argument: Argument } | undefined {
  const equals = member.indexOf('=')
  const name = equals === -1 ? member : member.slice(0, equals)
  if (name === '' || /[\s"]/.test(name)) return undefined
  if (equals === -1) return { name: name.toLowerCase(), argument: true }
  const text = member.slice(equals + 1)
  const isQuoted = text.length > 1 && text.startsWith('"') && text.endsWith('"')
  if (!isQuoted) return /[\s"]/.test(text) ? undefined : { name: name.toLowerCase(), argument: text }
  return { name: name.toLowerCase(), argument: text.slice(1, -1).replaceAll(/\\(.)/g, '$1') }
}

/** Converts a member of a structured field; a member that is false counts as missing. */
function asDirective([name, [value]]: [string, Item | InnerList]): { name: string; argument: Argument }[] {
  if (value === false) return []
  if (value === true || typeof value === 'string') return [{ name, argument: value }]
  return [{ name, argument: typeof value === 'number' ? String(value) : '' }]
}
