/** Most deletes that are remembered; beyond that the oldest are forgotten and run into their lifetime. */
const MOST = 10_000

/** Deletes that could not be confirmed, to be done once the server is back. */
export class PendingDeletes {
  readonly #keys = new Set<string>()

  get size(): number {
    return this.#keys.size
  }

  add(key: string): void {
    this.#keys.add(key)
    if (this.#keys.size > MOST) this.#keys.delete(this.#keys.values().next().value!)
  }

  /** What has to be done, which is forgotten here. */
  takeAll(): string[] {
    const keys = [...this.#keys]
    this.#keys.clear()
    return keys
  }
}
