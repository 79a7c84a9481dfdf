/** Faults of the application that are reported; beyond that the process's warnings would say nothing new. */
const MAX_REPORTED = 100

let reported = 0

/**
 * Calls a listener, logger or other callback of the application that has no say in what happens: what it throws, or
 * rejects with, becomes a warning of the process and changes nothing else.
 */
export function callSafely(what: string, callback: () => unknown): void {
  try {
    const result = callback()
    if (isPromise(result)) result.then(undefined, (error: unknown) => warn(what, error))
  } catch (error) {
    warn(what, error)
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

function warn(what: string, error: unknown): void {
  if (++reported > MAX_REPORTED) return
  process.emitWarning(`${what} of the application threw: ${textOf(error)}`, 'MemcacheWarning')
}

function textOf(error: unknown): string {
  try {
    return error instanceof Error ? (error.stack ?? error.message) : String(error)
  } catch {
    return 'an error that cannot be read'
  }
}
