import { isMemcacheError, MemcacheOptionError, MemcacheServerError, MemcacheTooLargeError } from 'memcache-ts-protocol'
import { messageOf } from '../errors.ts'

/** The call, which is `this` in a callback of npm memcached. */
export interface MemcachedCall {
  /** The command's name in memcached's protocol. */
  readonly type: string
  /** The key; the other arguments also have their names. */
  readonly key?: unknown
  readonly value?: unknown
  readonly lifetime?: unknown
  readonly cas?: unknown
  readonly callback: unknown
  /** The start of the call, in milliseconds since 1970. */
  readonly start: number
  /** The duration of the call, in milliseconds. */
  execution: number
}

/** A callback of npm memcached: the error is `undefined` if the call succeeded. */
export type MemcachedCallback<Result> = (this: MemcachedCall, error: Error | undefined, result: Result) => void

/** A callback for several keys: the errors are `undefined` if all servers responded. */
export type MemcachedMultiCallback<Result> = (this: MemcachedCall, errors: Error[] | undefined, result: Result) => void

/** The arguments of a call by their names, including the callback. */
export type CallArguments = Readonly<Record<string, unknown>> & { readonly callback: unknown }

type Run = (isCalledBack: boolean) => Promise<unknown>

/** The command of a call, and what its callback gets if it fails. */
interface CallKind {
  readonly type: string
  readonly outcomeOf: (error: Error) => Error
}

/**
 * Runs a call, and calls its callback or returns a promise. Any argument that is a function counts as the callback, so
 * that a call without its lifetime receives an error.
 */
export function runCall(type: string, args: CallArguments, run: Run): unknown {
  return start({ type, outcomeOf: (error) => error }, args, run)
}

/** Runs a `get` of several keys, whose callback gets an array of errors, and an object in any case. */
export function runMultiCall(args: CallArguments, run: Run): unknown {
  return start({ type: 'get', outcomeOf: (error) => new PartialResult([error], {}) }, args, run)
}

function start({ type, outcomeOf }: CallKind, args: CallArguments, run: Run): unknown {
  const given = [args.callback, ...Object.values(args)].find((value) => typeof value === 'function')
  const callback = given as MemcachedCallback<unknown> | undefined
  const call: MemcachedCall = { ...args, type, callback, start: Date.now(), execution: 0 }
  const promise = (async () => {
    try {
      checkArguments(type, args)
      return await run(callback !== undefined)
    } catch (error) {
      throw asCallError(type, error)
    }
  })()
  if (callback === undefined) {
    // npm memcached's callers expect no promise: a rejection that they ignore must not crash the process.
    promise.catch(() => {})
    return promise
  }
  const report = (error: unknown, result: unknown): void => {
    call.execution = Date.now() - call.start
    // An exception of the callback is not a failure of the operation: the callback must not be called again with it.
    process.nextTick(() => callback.call(call, error as Error | undefined, result))
  }
  promise.then(
    (result) => report(undefined, result),
    (error: Error) => {
      const outcome = error instanceof PartialResult ? error : outcomeOf(error)
      if (outcome instanceof PartialResult) report(outcome.errors, outcome.results)
      else report(outcome, isRefusal(outcome) ? false : undefined)
    },
  )
  return undefined
}

/** The results of the servers that responded, with the errors of the others. */
export class PartialResult extends Error {
  readonly errors: Error | Error[]
  readonly results: unknown

  constructor(errors: Error | Error[], results: unknown) {
    super('some servers failed')
    this.errors = errors
    this.results = results
  }
}

/** Returns the error of a call. Only values of the application throw anything else, such as a proxy or a symbol. */
function asCallError(type: string, error: unknown): unknown {
  if (isMemcacheError(error) || isOutcome(error)) return error
  return new MemcacheOptionError(`the arguments of ${type} cannot be read: ${messageOf(error)}`, { cause: error })
}

/** Returns whether a thrown value is the result of a call, and not its failure. Never throws. */
function isOutcome(thrown: unknown): boolean {
  try {
    return thrown instanceof PartialResult || (thrown instanceof Error && 'notStored' in thrown)
  } catch {
    return false
  }
}

/** @throws MemcacheOptionError in npm memcached's words. */
function checkArguments(type: string, args: CallArguments): void {
  const { key, lifetime, value, callback } = args
  const isName = typeof key === 'string' || typeof key === 'number' || Array.isArray(key)
  if ('key' in args && !isName) throw invalidArgument('key', 'String')
  if ('lifetime' in args && typeof lifetime !== 'number') throw invalidArgument('lifetime', 'Number')
  const counts = type === 'incr' || type === 'decr'
  if (counts && typeof value !== 'number') throw invalidArgument('value', 'Number')
  if (typeof value === 'function') throw invalidArgument('value', 'String')
  if (callback !== undefined && typeof callback !== 'function') throw invalidArgument('callback', 'Function')
}

export function invalidArgument(name: string, kind: string): MemcacheOptionError {
  return new MemcacheOptionError(`Argument "${name}" is not a valid ${kind}.`)
}

/** Returns whether a failed call has the result `false`, like a refusal by the server; other failures have no result. */
function isRefusal(error: Error): boolean {
  return 'notStored' in error || error instanceof MemcacheServerError || error instanceof MemcacheTooLargeError
}
