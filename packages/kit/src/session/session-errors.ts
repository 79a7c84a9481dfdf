import { MemcacheError, MemcacheServerError } from 'memcache-ts-protocol'
import type { MemcacheErrorDetails } from 'memcache-ts-protocol'

/** The name in messages of a step that needs memcached. */
export type SessionStep = 'read' | 'saved' | 'destroyed' | 'locked'

/** The status of a response to a request whose session is unavailable. */
const SERVICE_UNAVAILABLE = 503

/** The reasons why memcached is not available, by the codes of its errors. */
const REASONS: Readonly<Record<string, string>> = {
  ERR_MEMCACHE_CONNECTION: 'is down',
  ERR_MEMCACHE_TIMEOUT: 'does not respond in time',
  ERR_MEMCACHE_QUEUE: 'is overloaded: too many requests wait for it',
  ERR_MEMCACHE_AUTH: 'refuses the credentials',
  ERR_MEMCACHE_SERVER: 'failed',
  ERR_MEMCACHE_PROTOCOL: 'sent an invalid response',
}

/** Returns whether an error means that the cache is down or broken, rather than that a call was wrong. */
export function isDown(error: unknown): error is MemcacheError {
  return error instanceof MemcacheError && REASONS[error.code] !== undefined
}

/**
 * Returns an error that explains to the application why the session is unavailable. It has the class and code of the
 * given error, and `status` and `statusCode` 503, which the error handlers of Express, Fastify and Nest send. The
 * message names the server except in production, where only the property `server` has its name, since Fastify and Nest
 * 11 send messages to clients. Other errors are returned as they are.
 *
 * @param advice appended to the message: what the application can do.
 */
export function sessionUnavailable(error: unknown, step: SessionStep, advice = ''): unknown {
  // The store itself throws errors without a server: for too many writers, or for a lock that others hold.
  if (!isDown(error) || error.server === undefined || 'statusCode' in error) return error
  const { server, retryable, ambiguous } = error
  const where = process.env['NODE_ENV'] === 'production' ? 'memcached' : `memcached at ${server}`
  const ErrorClass = error.constructor as new (message: string, details: MemcacheErrorDetails) => MemcacheError
  const message = `the session could not be ${step}: ${where} ${REASONS[error.code]!}${advice}`
  const unavailable = new ErrorClass(message, { server, retryable, ambiguous, cause: error })
  // The same properties as in http-errors.
  return Object.assign(unavailable, { status: SERVICE_UNAVAILABLE, statusCode: SERVICE_UNAVAILABLE, expose: false })
}

/**
 * Waits for a call of the client and removes the key from its error, since the id of a session is a secret like a
 * password.
 */
export async function withoutKey<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work
  } catch (error) {
    throw keyless(error)
  }
}

/** Removes the key from an error and returns the error. */
export function keyless(error: unknown): unknown {
  if (error instanceof MemcacheError && error.key !== undefined) hideKey(error, error.key)
  return error
}

function hideKey(error: MemcacheError, key: string): void {
  const hide = (text: string): string => text.replaceAll(key, '<session>')
  Object.defineProperty(error, 'key', { value: undefined, enumerable: true, configurable: true })
  error.message = hide(error.message)
  if (error.stack !== undefined) error.stack = hide(error.stack)
}

/** The result of a write if another request was faster. */
export const CONFLICT = 'conflict'

/** Returns the error of a write that was overtaken by other requests too often. */
export function tooManyWriters(): MemcacheServerError {
  return new MemcacheServerError('too many requests write one session at once: try again', { retryable: true })
}
