import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { lineOf, listOf } from '../fields.ts'
import type { Fields } from '../fields.ts'
import { reducedEncodings, reducedLanguages } from './preferences.ts'

/** The languages and codings of an application; preferences of clients for others do not matter. */
export interface VaryRules {
  /** Its languages, in lower case; `undefined` if they are not known. */
  readonly languages: readonly string[] | undefined
  /** Its content codings, in lower case; `undefined` if they are not known. */
  readonly encodings: readonly string[] | undefined
}

/** Fields whose members are preferences, in which order and case do not matter (RFC 9110, section 12.5). */
const PREFERENCES = new Set(['accept', 'accept-charset', 'accept-encoding', 'accept-language'])

/** A response that varies by more request fields is not stored: no two clients would have the same values. */
export const MAX_VARIED_FIELDS = 100

/** Returns the request fields that a response depends on, in lower case and sorted. */
export function variedFields(fields: Fields): string[] {
  return [...new Set([...listOf(lineOf(fields, 'vary')), ...impliedFields(fields)])].sort()
}

/** Returns the `Vary` of a stored response, with the names that the response that confirms it adds. */
export function joinedVary(stored: Fields, confirmed: Fields): string {
  const names = listOf(lineOf(stored, 'vary'))
  const added = listOf(lineOf(confirmed, 'vary')).filter((name) => !names.includes(name))
  return [lineOf(stored, 'vary') ?? [], added].flat().join(', ')
}

/** Returns the request fields by which a response was negotiated, whether `Vary` names them or not. */
function impliedFields(fields: Fields): string[] {
  const names: string[] = []
  if (fields['content-encoding'] !== undefined) names.push('accept-encoding')
  if (fields['content-language'] !== undefined) names.push('accept-language')
  const origin = fields['access-control-allow-origin']
  if (origin !== undefined && origin !== '*') names.push('origin')
  return names
}

/**
 * Returns the id of the variant that a request selects by its values of these fields: a hash, so that no value can be
 * chosen to match another value's id.
 *
 * @param rules.language the language of the wanted response, in place of the client's preferences.
 */
export function variantOf(
  names: readonly string[],
  headers: IncomingHttpHeaders,
  rules: VaryRules & { readonly language?: string },
): string {
  const { language } = rules
  const values = names.map((name) => [
    name,
    name === 'accept-language' && language !== undefined
      ? { language }
      : normalised(name, reducedField(name, lineOf(headers, name), rules)),
  ])
  return createHash('sha256').update(JSON.stringify(values)).digest('base64url')
}

/** Returns the preferences of a request without those that the application cannot meet, for its key and its handler. */
export function reducedPreferences(headers: IncomingHttpHeaders, rules: VaryRules): Record<string, string> {
  const reduced: Record<string, string> = {}
  for (const name of ['accept-language', 'accept-encoding']) {
    const line = lineOf(headers, name)
    const left = reducedField(name, line, rules)
    if (left !== undefined && left !== line) reduced[name] = left
  }
  return reduced
}

function reducedField(name: string, line: string | undefined, { languages, encodings }: VaryRules): string | undefined {
  if (line === undefined) return undefined
  if (name === 'accept-language' && languages !== undefined) return reducedLanguages(line, languages)
  if (name === 'accept-encoding' && encodings !== undefined) return reducedEncodings(line, encodings)
  return line
}

/** Returns a value without differences that do not matter: space around commas, and the order of preferences. */
function normalised(name: string, line: string | undefined): string | undefined {
  if (line === undefined) return undefined
  const members = line.split(',').map((member) => member.trim())
  if (!PREFERENCES.has(name)) return members.join(', ')
  return members
    .map((member) => member.toLowerCase().replaceAll(/\s+/g, ''))
    .sort()
    .join(', ')
}
