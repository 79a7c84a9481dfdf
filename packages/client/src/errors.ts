import {
  isMemcacheError,
  MemcacheConnectionError,
  MemcacheDecodeError,
  MemcacheOptionError,
} from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { EventEmitter } from 'node:events'

/** Returns an error unchanged, and an error with the text of any other thrown value. Never throws. */
export function asError(thrown: unknown): Error {
  try {
    if (thrown instanceof Error) return thrown
  } catch {
    // A proxy that was revoked.
  }
  return new Error(messageOf(thrown))
}

/**
 * Reads a value of the application, whose getters, iterators and proxies may throw.
 *
 * @param what names the value in the error.
 * @throws MemcacheOptionError with the exception as its cause; a `MemcacheError` is thrown unchanged.
 */
export function readValueOf<Result>(what: string, read: () => Result): Result {
  try {
    return read()
  } catch (cause) {
    if (isMemcacheError(cause)) throw cause
    throw new MemcacheOptionError(`${what} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

/** Returns a `MemcacheError` unchanged, and any other error as the cause of a new one. */
export function asMemcacheError(error: unknown): MemcacheError {
  return isMemcacheError(error) ? error : new MemcacheConnectionError(messageOf(error), { cause: error })
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

/** Returns the error of a request that could not be written. */
export function requestError(error: unknown, key: string | undefined): MemcacheError {
  if (isMemcacheError(error)) return errorForKey(error, { key })
  return new MemcacheOptionError(`the request cannot be written: ${messageOf(error)}`, { key, cause: error })
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

/**
 * Emits an event to every listener, even if other listeners throw: Node reports their exceptions as uncaught, and the
 * client continues.
 */
export function emitSafely(emitter: EventEmitter, event: string, ...args: readonly unknown[]): void {
  for (const listener of emitter.rawListeners(event)) {
    try {
      Reflect.apply(listener, emitter, args)
    } catch (error) {
      reportUncaught(error)
    }
  }
}

/** Throws an error of the application in a separate tick, so that Node reports it as `uncaughtException`. */
export function reportUncaught(error: unknown): void {
  process.nextTick(() => {
    throw error
  })
}
