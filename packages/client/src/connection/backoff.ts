const FIRST_MS = 50
const MAX_MS = 1000

/** Pauses between attempts: each twice as long as the one before, up to a second. */
export class Backoff {
  #attempts = 0

  /** The next pause; half of it is chance, so that the processes of a fleet do not all come back at once. */
  nextMs(): number {
    const delayMs = Math.min(MAX_MS, FIRST_MS * 2 ** this.#attempts)
    this.#attempts++
    return delayMs * (0.5 + Math.random() / 2)
  }

  /** It has succeeded. */
  reset(): void {
    this.#attempts = 0
  }
}
