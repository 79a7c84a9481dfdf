import type { IncomingMessage } from 'node:http'
import { parseList } from 'structured-headers'
import { lineOf } from '../fields.ts'
import type { Fields } from '../fields.ts'
import { hostOf } from './request-key.ts'

/**
 * The tags of the groups that a response belongs to (`Cache-Groups`), or that it invalidates
 * (`Cache-Group-Invalidation`): a list of strings, each within its host (RFC 9875). A field that is not such a list
 * names no group.
 */
export function groupTags(
  request: IncomingMessage,
  fields: Fields,
  name: 'cache-groups' | 'cache-group-invalidation',
): string[] {
  const line = lineOf(fields, name)
  if (line === undefined) return []
  try {
    const groups = parseList(line).map(([group]) => group)
    if (!groups.every((group) => typeof group === 'string')) return []
    return [...new Set(groups)].map((group) => `group:${hostOf(request)}/${group}`)
  } catch {
    return []
  }
}
