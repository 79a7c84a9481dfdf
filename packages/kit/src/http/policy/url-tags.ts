import { pathOf } from './request-key.ts'

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
