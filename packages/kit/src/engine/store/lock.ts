import { randomUUID } from 'node:crypto'
import type { MemcachedClient } from 'memcache-ts-client'
import { orUnavailable, UNAVAILABLE } from '../or-unavailable.ts'
import type { CacheContext } from '../context.ts'
import { lifetime } from '../lifetime.ts'
import { LEASE_STUB } from '../values/kit-codec.ts'
import { dropForeignLock } from './foreign-items.ts'
import { FIRST_POLL_MS, nextPollMs, pause, pollDelayMs } from '../load/waiting.ts'
import { throwIfAborted } from '../load/abandonment.ts'

/** The resolved options of a lock. */
export interface LockRequest {
  readonly key: string
  readonly ttlSeconds: number
  readonly waitMs: number
  readonly signal: AbortSignal | undefined
}

/** The item of a lock: its value is a token that only the holder knows. */
interface LockItem {
  readonly key: string
  readonly token: string
  readonly ttlSeconds: number
}

/**
 * A lock that this caller holds until it releases it or its lifetime ends. memcached may forget it: a lock avoids
 * duplicate work, and does not replace a database's constraints.
 *
 * @example
 *   await using lock = await cache.lock('nightly report', { ttlSeconds: 60 })
 *   if (lock !== undefined) await report()
 */
export class MemcacheLock implements AsyncDisposable {
  readonly #client: MemcachedClient
  readonly #context: CacheContext
  readonly #key: string
  readonly #token: string
  readonly #ttlSeconds: number

  /** Use `cache.lock(name)`. */
  constructor(client: MemcachedClient, context: CacheContext, { key, token, ttlSeconds }: LockItem) {
    this.#client = client
    this.#context = context
    this.#key = key
    this.#token = token
    this.#ttlSeconds = ttlSeconds
  }

  /** Restarts the lock's lifetime. Resolves to whether the lock was still held and the server confirmed it. */
  async extend(): Promise<boolean> {
    const { report } = this.#context
    const held = await orUnavailable(this.#client.gets(this.#key), report)
    if (held === UNAVAILABLE || held?.value !== this.#token) return false
    const extending = this.#client.cas(this.#key, this.#token, held.casUnique, lifetime(this.#ttlSeconds))
    return (await orUnavailable(extending, report)) === 'stored'
  }

  /**
   * Releases the lock for the next caller. Resolves to whether the lock was still held and the server confirmed it;
   * otherwise the lock expires by itself.
   */
  async release(): Promise<boolean> {
    const { report, store } = this.#context
    const held = await orUnavailable(this.#client.gets(this.#key), report)
    if (held === UNAVAILABLE || held?.value !== this.#token) return false
    const dropped = await orUnavailable(
      store.use(this.#key, (using) => using.drop(this.#key, held.casUnique)),
      report,
    )
    return dropped === true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }
}

/**
 * Acquires a lock within its waiting time; `undefined` if another caller holds it, or the cache does not respond.
 *
 * @throws the signal's reason.
 */
export async function acquireLock(
  client: MemcachedClient,
  context: CacheContext,
  request: LockRequest,
): Promise<MemcacheLock | undefined> {
  const { key, ttlSeconds, waitMs, signal } = request
  const token = randomUUID()
  const lock = new MemcacheLock(client, context, { key, token, ttlSeconds })
  const deadline = performance.now() + waitMs
  const isToken = (value: unknown): boolean =>
    typeof value === 'string'
      ? value.length === token.length
      : // Without meta commands, a lock that is being released is empty.
        value === LEASE_STUB && !context.store.reportsTtl(key)
  let isChecked = false
  for (let pauseMs = FIRST_POLL_MS; ; pauseMs = nextPollMs(pauseMs)) {
    throwIfAborted(signal)
    const added = await orUnavailable(client.add(key, token, lifetime(ttlSeconds)), context.report)
    if (added === true) return lock
    // The response may have been lost: a lock that its holder does not know of must not block others.
    if (added === UNAVAILABLE) void lock.release()
    if (added === UNAVAILABLE) return undefined
    if (!isChecked) {
      isChecked = true
      const dropped = await orUnavailable(dropForeignLock(client, key, isToken), context.report)
      if (dropped === true) continue
    }
    if (performance.now() >= deadline) return undefined
    await pause(Math.min(pollDelayMs(pauseMs), Math.max(0, deadline - performance.now())), signal)
  }
}
