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
