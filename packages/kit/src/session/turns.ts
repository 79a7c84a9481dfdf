/** Lets the callers of this process take turns on a key. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>()

  /** Waits until all earlier callers have ended their turns; resolves to the function that ends this turn. */
  async take(key: string): Promise<() => void> {
    const before = this.#last.get(key)
    let end!: () => void
    const turn = new Promise<void>((resolve) => (end = resolve))
    this.#last.set(key, turn)
    await before
    return () => {
      if (this.#last.get(key) === turn) this.#last.delete(key)
      end()
    }
  }
}
