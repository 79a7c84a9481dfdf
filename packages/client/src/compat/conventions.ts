import { secondsToTtl } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { EncodedValue } from '../values/value-codec.ts'

/** Node's callbacks: an error or null, and the results. */
export type Callback<Results extends readonly unknown[]> = (error: Error | null, ...results: Results) => void

/** Hands a promise's outcome to a callback where there is one; without, the promise is the caller's. */
export function callBack<Result, Results extends readonly unknown[]>(
  promise: Promise<Result>,
  callback: Callback<Results> | undefined,
  resultsOf: (result: Result) => Results,
): Promise<Result> | void {
  if (callback === undefined) return promise
  promise.then(
    // What a callback throws is its own affair, not the operation's: it must not be called again with it.
    (result) => process.nextTick(callback, null, ...resultsOf(result)),
    // memjs's callbacks have nulls for results behind an error.
    (error: unknown) => process.nextTick(callback as (...all: unknown[]) => void, error, null, null),
  )
}

const SECONDS_A_DAY = 86_400
const MAX_RELATIVE_SECONDS = 30 * SECONDS_A_DAY

/** Returns a lifetime in memcached's seconds as one of ours: 0 is for ever, and over 30 days a Unix time. */
export function toTtl(seconds: number): Ttl {
  if (seconds === 0) return Infinity
  if (seconds <= MAX_RELATIVE_SECONDS) return seconds
  return secondsToTtl(seconds - nowSeconds())
}

/** Returns whether such a lifetime is over at once: a negative one, or a Unix time that has passed. */
export function expiresAtOnce(seconds: number): boolean {
  return seconds < 0 || (seconds > MAX_RELATIVE_SECONDS && seconds <= nowSeconds())
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000)
}

/**
 * A value that was encoded before it is handed to the client, whose codec takes it as it is: its size was to be checked
 * first.
 */
export class Encoded implements EncodedValue {
  readonly bytes: Buffer | string
  readonly clientFlags: number

  constructor(bytes: Buffer | string, clientFlags: number) {
    this.bytes = bytes
    this.clientFlags = clientFlags
  }
}
