import type { IncomingMessage } from 'node:http'
import { parseList } from 'structured-headers'
import { hostOf, pathOf } from './request-key.ts'
import { lineOf } from '../fields.ts'
import type { Fields } from '../fields.ts'

/** A needlessly percent-encoded byte of a path (RFC 3986, section 2.3); routers treat both forms alike. */
const ENCODED_UNRESERVED = /%(?:2d|2e|5f|7e|3\d|[46][1-9a-f]|[57][\da])/gi

/**
 * Returns the tags of a path as it was requested, and in the form that routers compare: without a slash at its end, in
 * lower case, and without needless encoding.
 */
export function urlTags(url: string): string[] {
  const path = pathOf(url)
  const decoded = path.includes('%')
    ? path.replaceAll(ENCODED_UNRESERVED, (encoded) => String.fromCharCode(Number.parseInt(encoded.slice(1), 16)))
    : path
  const routed = (decoded.length > 1 && decoded.endsWith('/') ? decoded.slice(0, -1) : decoded).toLowerCase()
  return routed === path ? [`url:${path}`] : [`url:${path}`, `url:${routed}`]
}

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
