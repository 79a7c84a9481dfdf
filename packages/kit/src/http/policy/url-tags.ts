import { pathOf } from './request-key.ts'

/** A byte that needs no percent-encoding in a path (RFC 3986, section 2.3): encoded or not, routers see the same. */
const ENCODED_UNRESERVED = /%(?:2d|2e|5f|7e|3\d|[46][1-9a-f]|[57][\da])/gi

/**
 * The tags of a path as it was requested, and as routers see it: a slash at its end, its case and needless encoding
 * make no difference there.
 */
export function urlTags(url: string): string[] {
  const path = pathOf(url)
  const decoded = path.includes('%')
    ? path.replaceAll(ENCODED_UNRESERVED, (encoded) => String.fromCharCode(Number.parseInt(encoded.slice(1), 16)))
    : path
  const routed = (decoded.length > 1 && decoded.endsWith('/') ? decoded.slice(0, -1) : decoded).toLowerCase()
  return routed === path ? [`url:${path}`] : [`url:${path}`, `url:${routed}`]
}
