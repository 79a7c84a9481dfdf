/** Shared by all copies of this package in a process: a property that no client can send. */
const BACKGROUND = Symbol.for('memcache-ts.background-request')

/**
 * Marks a request that the application makes to itself, such as the revalidation of a cached response, so that rate
 * limits do not count it. The mark is a property of the object, which no client can send.
 */
export function markBackgroundRequest(request: object): void {
  Object.defineProperty(request, BACKGROUND, { value: true })
}

/**
 * Returns whether a request was marked by `markBackgroundRequest`, or, for a request of Fastify, whether the Node
 * request in it was.
 */
export function isBackgroundRequest(request: object): boolean {
  if (BACKGROUND in request) return true
  const { raw } = request as { readonly raw?: unknown }
  return typeof raw === 'object' && raw !== null && BACKGROUND in raw
}
