import {
  MemcacheAuthError,
  MemcacheServerError,
  MemcacheTooLargeError,
  MemcacheUnsupportedError,
} from 'memcache-ts-protocol'
import type { ErrorLineKind, MemcacheError, MemcacheErrorDetails } from 'memcache-ts-protocol'
import type { WireKey } from '../client-key.ts'
import type { RetrievalRequest } from '../operations/retrieval-operation.ts'
import type { StoreConditions } from '../operations/write-operations.ts'

/** Returns the error that an error line of a server stands for. */
export function serverError(
  kind: ErrorLineKind,
  message: string,
  details: MemcacheErrorDetails & { readonly server: string },
): MemcacheError {
  const { server } = details
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
    return new MemcacheAuthError(`${server} requires credentials: set username and password`, details)
  }
  if (kind === 'ERROR' && message === '') {
    return new MemcacheUnsupportedError(
      `${server} does not know the command: it is older than the command, or a proxy without it`,
      details,
    )
  }
  return new MemcacheServerError(`${server} responded with ${kind} ${message}`.trimEnd(), details)
}

/**
 * Refuses a request that needs meta commands.
 *
 * @throws MemcacheUnsupportedError always.
 */
export function refuse(what: string): never {
  throw new MemcacheUnsupportedError(`the server has no meta commands: ${what} needs memcached 1.6`)
}

/** Returns the key as text. */
export function textKey(key: WireKey): string {
  return typeof key === 'string' ? key : refuse('a binary key')
}

/** @throws MemcacheUnsupportedError if only mg can carry the request out. */
export function checkRetrieval(request: RetrievalRequest): void {
  if (request.vivifySeconds !== undefined || request.recacheSeconds !== undefined) refuse('a lease')
  if (request.details === true || request.access === true) refuse('the metadata of an item')
  if (request.noBump === true || request.newCas !== undefined || request.compareCas !== undefined)
    refuse('a flag of mg')
  if (!request.value && request.touchExptime === undefined) refuse('a retrieval without the value')
}

/** @throws MemcacheUnsupportedError if only ms has the conditions; a cas unique that cannot be returned is no error. */
export function checkConditions({ invalidate, newCas, vivifyExptime }: StoreConditions): void {
  if (invalidate === true || newCas !== undefined || vivifyExptime !== undefined) refuse('a flag of ms')
}
