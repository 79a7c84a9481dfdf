import type { IncomingMessage } from 'node:http'
import { parseList } from 'structured-headers'
import { hostOf, pathOf } from './request-key.ts'
import { lineOf } from '../fields.ts'
import type { Fields } from '../fields.ts'

/** A needlessly percent-encoded byte of a path (RFC 3986, section 2.3); routers treat both forms alike. */
const ENCODED_UNRESERVED = /%(?:2d|2e|5f|7e|3\d|[46][1-9a-f]|[57][\da])/gi

/** Returns the tags of a path: as it was requested, and in the form that routers compare. */
export function urlTags(url: string): string[] {
  const path = pathOf(url)
  const routed = routedPath(path)
  return routed === path ? [`url:${path}`] : [`url:${path}`, `url:${routed}`]
}

/**
 * Returns a path in a form that is the same for all paths that a router may treat alike: decoded, in lower case,
 * without parameters after `;`, without `.` and `..`, and without a slash that is repeated or at the end. Paths that a
 * stricter router distinguishes are then invalidated together, which costs a miss.
 */
export function routedPath(path: string): string {
  if (path === '/' || (PLAIN_PATH.test(path) && !DOTS.test(path))) return path
  const semicolon = path.indexOf(';')
  const all = decoded(semicolon === -1 ? path : path.slice(0, semicolon))
    .replaceAll(/\/{2,}/g, '/')
    .toLowerCase()
  const routed = DOTS.test(all) ? withoutDots(all) : all
  return routed.length > 1 && routed.endsWith('/') ? routed.slice(0, -1) : routed
}

/** A segment `.` or `..`. */
const DOTS = /\/\.\.?(?:\/|$)/

/** Removes the segments `.` and `..` (RFC 3986, section 5.2.4), as file servers do. */
function withoutDots(path: string): string {
  const kept: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') kept.length = Math.max(1, kept.length - 1)
    else if (segment !== '.') kept.push(segment)
  }
  return kept.length > 1 ? kept.join('/') : '/'
}

/** A path that is already in the form that routers compare, as most are. */
const PLAIN_PATH = /^(?:\/[\d\-._a-z~]+)+$/

function decoded(path: string): string {
  if (!path.includes('%')) return path
  try {
    return decodeURI(path)
  } catch {
    return path.replaceAll(ENCODED_UNRESERVED, (encoded) => String.fromCharCode(Number.parseInt(encoded.slice(1), 16)))
  }
}

/**
 * Returns the tags of the groups that a response belongs to (`Cache-Groups`), or that it invalidates
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
