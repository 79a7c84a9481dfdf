import { MemcacheConnectionError, MemcacheDecodeError, MemcacheError } from 'memcache-ts-protocol'

/** Returns a `MemcacheError` unchanged, and any other error as the cause of a new one. */
export function asMemcacheError(error: unknown): MemcacheError {
  return error instanceof MemcacheError ? error : new MemcacheConnectionError(messageOf(error), { cause: error })
}

/** Returns the message of an error, or the text of another thrown value. Never throws. */
export function messageOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message : String(thrown)
  } catch {
    return 'an error that cannot be read'
  }
}

/**
 * Returns the error of a connection, as that of an operation that waited on the connection; `ambiguous` if the
 * operation may have been carried out.
 */
export function errorForKey(
  error: MemcacheError,
  { key, ambiguous = false }: { readonly key: string | undefined; readonly ambiguous?: boolean },
): MemcacheError {
  const Kind = error.constructor as new (message: string, details: object) => MemcacheError
  return new Kind(error.message, {
    server: error.server,
    key,
    retryable: error.retryable,
    ambiguous,
    cause: error.cause ?? error,
  })
}

/** Returns a `MemcacheDecodeError` for a key, with the error of a codec. */
export function decodeError(error: unknown, key: string | undefined): MemcacheDecodeError {
  const reason = messageOf(error)
  return new MemcacheDecodeError(key === undefined ? reason : `${key}: ${reason}`, { key, cause: error })
}

/** Returns the error of a later step of reading a value; errors that the value did not cause are returned unchanged. */
export function stepError(error: unknown, key: string | undefined): unknown {
  return error instanceof MemcacheDecodeError ? decodeError(error, key) : error
}
