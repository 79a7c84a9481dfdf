/** The number of remembered invalidations; with more, everything under the prefix is invalidated instead. */
const MAX_KEYS = 100_000
const FIRST_RETRY_MS = 100
const MAX_RETRY_MS = 1000

/** Carries out invalidations. Each method rejects if the server does not confirm it. */
export interface Invalidator {
  delete(key: string): Promise<void>
  raise(tagKey: string, by: number): Promise<unknown>
  /** Makes everything under the prefix invalid. */
  raiseRoot(): Promise<void>
}

/**
 * Invalidations that no server has confirmed yet. Until they are confirmed, this process does not serve the values that
 * they concern. They are sent again when a server is back, and retried until they succeed.
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

  /** @param overflowed is called when there are too many to remember. */
  constructor(invalidator: Invalidator, overflowed: () => void) {
    this.#invalidator = invalidator
    this.#overflowed = overflowed
  }

  get size(): number {
    return this.#keys.size + this.#tags.size + (this.#raisesRoot ? 1 : 0)
  }

  /** Returns whether an invalidation of this key is still pending, so that the stored value must not be served. */
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

  /** Drops the pending delete of a key, since a newer write was confirmed. */
  settle(key: string): void {
    this.#keys.delete(key)
  }

  /** Sends the pending invalidations now, since a server may be back. */
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

  /** Retries by a timer, since not every fault ends a connection, and only a new connection triggers `run`. */
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
