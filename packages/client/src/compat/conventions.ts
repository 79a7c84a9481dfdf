import { kindOf, MemcacheOptionError, secondsToTtl } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { EncodedValue } from '../values/value-codec.ts'

/** Node's callbacks: an error or null, and the results. */
export type Callback<Results extends readonly unknown[]> = (error: Error | null, ...results: Results) => void

/**
 * Passes a promise's outcome to the callback; without a callback, which may be `null`, returns the promise. Anything
 * else in place of a callback rejects with a MemcacheOptionError.
 */
export function callBack<Result, Results extends readonly unknown[]>(
  promise: Promise<Result>,
  callback: Callback<Results> | null | undefined,
  resultsOf: (result: Result) => Results,
): Promise<Result> | void {
  if (callback === undefined || callback === null) return promise
  if (typeof callback !== 'function') {
    promise.catch(() => {})
    return Promise.reject(new MemcacheOptionError(`callback must be a function, got ${kindOf(callback)}`))
  }
  promise.then(
    // An error that the callback throws is not the operation's: the callback must not be called again with it.
    (result) => process.nextTick(callback, null, ...resultsOf(result)),
    // memjs's callbacks have null for each result after an error.
    (error: unknown) => process.nextTick(callback as (...all: unknown[]) => void, error, null, null),
  )
}

const SECONDS_A_DAY = 86_400
const MAX_RELATIVE_SECONDS = 30 * SECONDS_A_DAY

/**
 * Returns a lifetime in memcached's seconds as a `Ttl`: 0 never expires, and a number over 30 days is a Unix time.
 *
 * @throws MemcacheOptionError for NaN.
 */
export function toTtl(seconds: number): Ttl {
  if (Number.isNaN(seconds)) throw new MemcacheOptionError('the lifetime must be a number of seconds, got NaN')
  if (seconds === 0) return Infinity
  if (seconds <= MAX_RELATIVE_SECONDS) return seconds
  return secondsToTtl(seconds - nowSeconds())
}

/** Returns whether a lifetime in memcached's seconds has already ended: it is negative, or a Unix time in the past. */
export function expiresAtOnce(seconds: number): boolean {
  return seconds < 0 || (seconds > MAX_RELATIVE_SECONDS && seconds <= nowSeconds())
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000)
}

/**
 * A value that was encoded before it is passed to the client, so that its size could be checked first. The client's
 * codec stores it unchanged.
 */
export class Encoded implements EncodedValue {
  readonly bytes: Buffer | string
  readonly clientFlags: number

  constructor(bytes: Buffer | string, clientFlags: number) {
    this.bytes = bytes
    this.clientFlags = clientFlags
  }
}
