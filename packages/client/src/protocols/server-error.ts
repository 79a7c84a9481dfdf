import {
  MemcacheAuthError,
  MemcacheServerError,
  MemcacheTooLargeError,
  MemcacheUnsupportedError,
} from 'memcache-ts-protocol'
import type { ErrorLineKind, MemcacheError, MemcacheErrorDetails } from 'memcache-ts-protocol'

/** What an error line means. */
export function serverError(
  kind: ErrorLineKind,
  message: string,
  server: string,
  details: MemcacheErrorDetails,
): MemcacheError {
  if (message.startsWith('object too large')) {
    return new MemcacheTooLargeError(
      `${server} refused a value over its item limit: raise it with -I, or let the client store it in chunks (chunkBytes)`,
      details,
    )
  }
  if (message === 'authentication failure') {
    return new MemcacheAuthError(`${server} refused the username and password`, details)
  }
  if (message === 'unauthenticated') {
    return new MemcacheAuthError(`${server} wants credentials: give username and password`, details)
  }
  if (kind === 'ERROR' && message === '') {
    return new MemcacheUnsupportedError(
      `${server} does not know the command: it is older than the command, or a proxy without it`,
      details,
    )
  }
  return new MemcacheServerError(`${server} answered ${kind} ${message}`.trimEnd(), details)
}
