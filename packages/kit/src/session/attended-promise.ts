import { isError } from './session.ts'
import type { Callback } from './session.ts'

/** A promise that records whether a caller waits for it. If no caller does, its rejection does not crash the process. */
class AttendedPromise implements Promise<void> {
  readonly #promise: Promise<void>
  #isAttended = false

  constructor(executor: ConstructorParameters<typeof Promise<void>>[0]) {
    this.#promise = new Promise(executor)
    this.#promise.catch(() => {})
  }

  /** Whether `then`, `catch` or `finally` has been called. */
  get isAttended(): boolean {
    return this.#isAttended
  }

  get [Symbol.toStringTag](): string {
    return 'Promise'
  }

  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise
  then<Fulfilled = void, Rejected = never>(
    onFulfilled?: ((value: void) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    this.#isAttended = true
    return this.#promise.then(onFulfilled, onRejected)
  }

  catch<Rejected = never>(
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<void | Rejected> {
    this.#isAttended = true
    return this.#promise.catch(onRejected)
  }

  finally(onFinally?: (() => void) | null): Promise<void> {
    this.#isAttended = true
    return this.#promise.finally(onFinally)
  }
}

/**
 * Returns the outcome of a write as a promise.
 *
 * @param start starts the write; it gets the callback of the write, and a function that returns whether a caller waits
 *   for the promise.
 */
export function attended(start: (done: Callback, isAttended: () => boolean) => void): Promise<void> {
  let done!: Callback
  const outcome = new AttendedPromise((resolve, reject) => {
    done = (error) => (isError(error) ? reject(error) : resolve())
  })
  start(done, () => outcome.isAttended)
  return outcome
}
