import { LongTimer } from 'memcache-ts-protocol'

/** Those who wait until nothing is under way on a connection any more. */
export class Drain {
  readonly #waiting: (() => void)[] = []

  /** Whether anybody waits. */
  get isAwaited(): boolean {
    return this.#waiting.length > 0
  }

  /**
   * Resolves at the next `end`, or after a limit.
   * @param mayEnd whether the limit ends the wait.
   */
  async wait(limitMs: number, mayEnd: () => boolean): Promise<void> {
    const limit = new LongTimer(() => {
      if (mayEnd()) this.end()
    }, limitMs)
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
    limit.clear()
  }

  /** Nothing is under way. */
  end(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
