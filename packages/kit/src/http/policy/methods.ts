/** Methods whose responses are stored and reused: GET, HEAD, and QUERY, whose content is part of the key (RFC 10008). */
const READ_METHODS: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD', 'QUERY'])
/** Methods that change nothing, besides those (RFC 9110, section 9.2.1). */
const SAFE_METHODS: ReadonlySet<string | undefined> = new Set(['OPTIONS', 'TRACE', 'PROPFIND', 'REPORT', 'SEARCH'])

/** Whether requests of a method can be answered from the cache. */
export function isReadMethod(method: string | undefined): boolean {
  return READ_METHODS.has(method)
}

/** Whether requests of a method change nothing, so that they invalidate nothing. */
export function isSafeMethod(method: string | undefined): boolean {
  return READ_METHODS.has(method) || SAFE_METHODS.has(method)
}
