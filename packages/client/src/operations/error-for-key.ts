import type { MemcacheError } from 'memcache-ts-protocol'

/** The error of a connection, as the one of an operation that waited on it. */
export function errorForKey(error: MemcacheError, key: string | undefined, ambiguous: boolean): MemcacheError {
  const Kind = error.constructor as new (message: string, details: object) => MemcacheError
  return new Kind(error.message, {
    server: error.server,
    key,
    retryable: error.retryable,
    ambiguous,
    cause: error.cause ?? error,
  })
}
