/** Most that is remembered; beyond that, everything under the prefix has to go. */
const MAX_KEYS = 100_000
const FIRST_RETRY_MS = 100
const MAX_RETRY_MS = 1000

/** What carries out an invalidation; rejects when the cache does not confirm it. */
export interface Invalidator {
  delete(key: string): Promise<void>
  raise(tagKey: string, by: number): Promise<unknown>
  /** Makes everything under the prefix invalid. */
  raiseRoot(): Promise<void>
}

/**
 * Invalidations that could not be confirmed. Until they are, nobody here is served what they are about; they are done as
 * soon as the server is back, and tried again until they are.
 */
export class PendingInvalidations {
  readonly #invalidator: Invalidator
  readonly #keys = new Set<string>()
  readonly #tags = new Map<string, number>()
  readonly #overflowed: () => void
  #raisesRoot = false
  #running = false
  #timer: NodeJS.Timeout | undefined
  #retryMs = FIRST_RETRY_MS
  #closed = false

  /** @param overflowed is told when there are so many that everything has to be forgotten. */
  constructor(invalidator: Invalidator, overflowed: () => void) {
    this.#invalidator = invalidator
    this.#overflowed = overflowed
  }

  get size(): number {
    return this.#keys.size + this.#tags.size + (this.#raisesRoot ? 1 : 0)
  }

  /** Whether nothing can be believed that is stored under a key, since an invalidation of it is still to be done. */
  has(key: string): boolean {
    return this.#keys.size > 0 || this.#raisesRoot ? this.#raisesRoot || this.#keys.has(key) : false
  }

  hasTag(tagKey: string): boolean {
    return this.#raisesRoot || this.#tags.has(tagKey)
  }

  addDelete(key: string): void {
    this.#keys.add(key)
    this.#added()
  }

  addRaise(tagKey: string, by: number): void {
    this.#tags.set(tagKey, Math.max(by, this.#tags.get(tagKey) ?? 0))
    this.#added()
  }

  /** Something newer was confirmed for a key. */
  settle(key: string): void {
    this.#keys.delete(key)
  }

  /** Does what is to be done, now: a server may be back. */
  async run(): Promise<void> {
    if (this.#running || this.size === 0 || this.#closed) return
    this.#running = true
    try {
      await this.#runAll()
      this.#retryMs = FIRST_RETRY_MS
    } finally {
      this.#running = false
      if (this.size > 0) this.#retryLater()
    }
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  async #runAll(): Promise<void> {
    if (this.#raisesRoot) {
      await this.#invalidator.raiseRoot().then(
        () => (this.#raisesRoot = false),
        () => {},
      )
    }
    await Promise.all([
      ...[...this.#keys].map((key) =>
        this.#invalidator.delete(key).then(
          () => this.#keys.delete(key),
          () => {},
        ),
      ),
      ...[...this.#tags].map(([tagKey, by]) =>
        this.#invalidator.raise(tagKey, by).then(
          () => this.#tags.delete(tagKey),
          () => {},
        ),
      ),
    ])
  }

  #added(): void {
    if (this.#keys.size + this.#tags.size > MAX_KEYS) {
      this.#keys.clear()
      this.#tags.clear()
      this.#raisesRoot = true
      this.#overflowed()
    }
    this.#retryLater()
  }

  /** Not every fault ends a connection, so that a new one would tell when to try again. */
  #retryLater(): void {
    if (this.#timer !== undefined || this.#closed) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      void this.run()
    }, this.#retryMs)
    this.#timer.unref()
    this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2)
  }
}
