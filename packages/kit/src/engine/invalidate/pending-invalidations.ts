import { unrefTimer } from 'memcache-ts-protocol'
import type { MemcachedClient } from 'memcache-ts-client'
import type { CacheReport } from '../observe/cache-report.ts'
import { orUnavailable, UNAVAILABLE } from '../or-unavailable.ts'

/** The number of remembered invalidations; with more, everything under the prefix is invalidated instead. */
const MAX_KEYS = 100_000
const FIRST_RETRY_MS = 100
const MAX_RETRY_MS = 1000
/** How long a process assumes that the root generation has not been raised since its last check. */
const MAX_UNCHECKED_MS = 1000

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
  /** The numbers of the keys' last invalidations: one that came after a request was sent is still pending. */
  readonly #keys = new Map<string, number>()
  readonly #tags = new Map<string, { readonly by: number; readonly number: number }>()
  #added = 0
  readonly #overflowed: () => void
  #raisesRoot = false
  #overflows = 0
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
    this.#keys.set(key, ++this.#added)
    this.#remembered()
  }

  addRaise(tagKey: string, by: number): void {
    this.#tags.set(tagKey, { by: Math.max(by, this.#tags.get(tagKey)?.by ?? 0), number: ++this.#added })
    this.#remembered()
  }

  /** Drops the pending delete of a key, since a newer write was confirmed. */
  settle(key: string): void {
    this.#keys.delete(key)
  }

  /** Sends the pending invalidations now, since a server may be back. */
  async run(): Promise<void> {
    if (this.#running || this.size === 0 || this.#closed) return
    this.#running = true
    await this.#runAll()
    this.#running = false
    if (this.size > 0) this.#retryLater()
    else this.#retryMs = FIRST_RETRY_MS
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  /** Runs all pending invalidations. Never rejects: an invalidation that fails stays pending. */
  async #runAll(): Promise<void> {
    if (this.#raisesRoot) {
      const overflows = this.#overflows
      await this.#invalidator.raiseRoot().then(
        () => (this.#raisesRoot = overflows !== this.#overflows),
        () => {},
      )
    }
    await Promise.all([
      ...[...this.#keys].map(([key, number]) =>
        this.#invalidator.delete(key).then(
          () => this.#keys.get(key) === number && this.#keys.delete(key),
          () => {},
        ),
      ),
      ...[...this.#tags].map(([tagKey, { by, number }]) =>
        this.#invalidator.raise(tagKey, by).then(
          () => this.#tags.get(tagKey)?.number === number && this.#tags.delete(tagKey),
          () => {},
        ),
      ),
    ])
  }

  #remembered(): void {
    if (this.#keys.size + this.#tags.size > MAX_KEYS) {
      this.#keys.clear()
      this.#tags.clear()
      this.#raisesRoot = true
      this.#overflows++
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
    unrefTimer(this.#timer)
    this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2)
  }
}

/**
 * The generation of everything that is stored under the prefix. It is raised when more invalidations are pending than
 * can be remembered. It does not exist before, so that values need not carry it. A process that is in use checks once a
 * second whether it was raised.
 */
export class RootGeneration {
  readonly tagKey: string
  readonly #client: MemcachedClient
  readonly #report: CacheReport
  #isRaised = false
  #checkedAtMs: number | undefined
  #checking: Promise<void> | undefined

  constructor(client: MemcachedClient, tagKey: string, report: CacheReport) {
    this.#client = client
    this.tagKey = tagKey
    this.#report = report
  }

  /**
   * Checks whether the generation was raised, if the last check is too old; `undefined` if the caller need not wait.
   * Only the first check is waited for.
   */
  known(): Promise<void> | undefined {
    const nowMs = performance.now()
    if (this.#isRaised || (this.#checkedAtMs !== undefined && nowMs - this.#checkedAtMs < MAX_UNCHECKED_MS))
      return undefined
    const isFirst = this.#checkedAtMs === undefined
    this.#checking ??= this.#check().finally(() => (this.#checking = undefined))
    return isFirst ? this.#checking : undefined
  }

  /** Records that the root was raised: from now on, values that do not carry the root generation are invalid. */
  raised(): void {
    this.#isRaised = true
  }

  /** Returns the tags that a value must carry or is stored with: these, and the root's if it was ever raised. */
  with(tagKeys: readonly string[]): readonly string[] {
    return this.#isRaised && !tagKeys.includes(this.tagKey) ? [...tagKeys, this.tagKey] : tagKeys
  }

  async #check(): Promise<void> {
    const found = await orUnavailable(this.#client.get(this.tagKey), this.#report)
    this.#checkedAtMs = performance.now()
    if (found !== UNAVAILABLE && found !== undefined) this.#isRaised = true
  }
}
