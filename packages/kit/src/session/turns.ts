/** Has callers in this process take turns on a key. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>()

  /** Resolves when all who asked before have ended their turns; returns what ends this one. */
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
