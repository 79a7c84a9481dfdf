import { MemcacheError } from 'memcache-ts-protocol'
import type { MemcacheErrorDetails } from 'memcache-ts-protocol'

/** The step that a session needs memcached for, as messages call it. */
export type SessionStep = 'read' | 'saved' | 'destroyed' | 'locked'

/** The status of a response to a request whose session is unavailable. */
const SERVICE_UNAVAILABLE = 503

/** The reasons why memcached is not available, by the codes of its errors. */
const REASONS: Readonly<Record<string, string>> = {
  ERR_MEMCACHE_CONNECTION: 'is down',
  ERR_MEMCACHE_TIMEOUT: 'does not answer in time',
  ERR_MEMCACHE_QUEUE: 'is asked for more than it can answer',
  ERR_MEMCACHE_AUTH: 'refuses the credentials',
  ERR_MEMCACHE_SERVER: 'failed',
  ERR_MEMCACHE_PROTOCOL: 'sent an invalid response',
}

/** Whether an error says that the cache is down or broken, rather than that a call was wrong. */
export function isDown(error: unknown): error is MemcacheError {
  return error instanceof MemcacheError && REASONS[error.code] !== undefined
}

/**
 * Explains to an application why there is no session: an error of the same class and code whose `status` and
 * `statusCode` are 503, so that the error handlers of Express, Fastify and Nest send that. The message names the
 * server, but in production only the property `server` does, since Fastify and Nest 11 send messages to clients. Other
 * errors are returned as they are.
 *
 * @param advice what the application can do about it, as a sentence.
 */
export function sessionUnavailable(error: unknown, step: SessionStep, advice = ''): unknown {
  // An error without a server is one of the store itself: too many writers, or a lock that others hold.
  if (!isDown(error) || error.server === undefined || 'statusCode' in error) return error
  const { server, retryable, ambiguous } = error
  const where = process.env['NODE_ENV'] === 'production' ? 'memcached' : `memcached at ${server}`
  const ErrorClass = error.constructor as new (message: string, details: MemcacheErrorDetails) => MemcacheError
  const message = `the session could not be ${step}: ${where} ${REASONS[error.code]!}${advice}`
  const unavailable = new ErrorClass(message, { server, retryable, ambiguous, cause: error })
  // As http-errors has them.
  return Object.assign(unavailable, { status: SERVICE_UNAVAILABLE, statusCode: SERVICE_UNAVAILABLE, expose: false })
}

/** Waits for a call of the client, whose error then names no key: the id of a session is as good as a password. */
export async function withoutKey<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work
  } catch (error) {
    throw keyless(error)
  }
}

/** An error without the key that it names. */
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
