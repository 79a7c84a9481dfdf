/**
 * Whether a cookie of a path would be sent with a request. @param target the request's target, with its query or
 * without.
 */
export function isInPath(target: string, path: string): boolean {
  const url = target || '/'
  if (path === '/' && url.startsWith('/')) return true
  return pathOf(url).startsWith(path || '/')
}

/** The path of a request's target, which may be absolute (RFC 9112 section 3.2.2). */
function pathOf(url: string): string {
  if (!url.startsWith('/')) {
    try {
      return new URL(url).pathname
    } catch {
      return url
    }
  }
  const query = url.indexOf('?')
  return query === -1 ? url : url.slice(0, query)
}
