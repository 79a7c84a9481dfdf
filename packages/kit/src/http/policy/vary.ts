import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { lineOf, listOf } from '../fields.ts'
import type { Fields } from '../fields.ts'

/** Fields whose members are a preference, whatever their order and case (RFC 9110, section 12.5). */
const PREFERENCES = new Set(['accept', 'accept-charset', 'accept-encoding', 'accept-language'])

/** The request fields that a response was selected by, in lower case and in order. */
export function variedFields(fields: Fields, more: readonly string[]): string[] {
  return [...new Set([...listOf(lineOf(fields, 'vary')), ...more])].sort()
}

/** Which variant a request selects, by its values of these fields: a hash, so that no value can be made up to hit another's. */
export function variantOf(names: readonly string[], headers: IncomingHttpHeaders): string {
  const values = names.map((name) => [name, normalised(name, lineOf(headers, name))])
  return createHash('sha256').update(JSON.stringify(values)).digest('base64url')
}

/** A value without what makes no difference: space around its commas, and the order of preferences. */
function normalised(name: string, line: string | undefined): string | undefined {
  if (line === undefined) return undefined
  const members = line.split(',').map((member) => member.trim())
  if (!PREFERENCES.has(name)) return members.join(', ')
  return members
    .map((member) => member.toLowerCase().replaceAll(/\s+/g, ''))
    .sort()
    .join(', ')
}
