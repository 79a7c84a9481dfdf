import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { MemcacheServerError } from 'memcache-ts-protocol'
import { withoutKey } from './session-errors.ts'
import type { SessionItems } from './session-index.ts'

const MAX_PAUSE_MS = 32
const TOKEN_BYTES = 12

/** Times of a lock. */
export interface LockTimes {
  readonly waitMs: number
  /** The longest time that a lock is held, should its holder die. */
  readonly leaseSeconds: number
}

/** Locks on sessions: advisory, since callers that do not ask for one merge their writes. */
export class SessionLocks {
  readonly #items: SessionItems

  constructor(items: SessionItems) {
    this.#items = items
  }

  /**
   * Waits for the lock of a session; returns the function that releases it.
   *
   * @throws MemcacheServerError if others hold it for longer than `waitMs`.
   */
  async take(id: string, { waitMs, leaseSeconds }: LockTimes): Promise<() => Promise<void>> {
    const client = this.#items.client()
    const key = this.#items.key(['', 'lock', id])
    const token = randomBytes(TOKEN_BYTES).toString('base64url')
    const endMs = performance.now() + waitMs
    for (let attempt = 0; !(await withoutKey(client.add(key, token, leaseSeconds))); attempt++) {
      if (performance.now() > endMs) {
        throw new MemcacheServerError(`a session is locked by another request for longer than ${waitMs} ms`, {
          retryable: true,
        })
      }
      await delay((1 + Math.random()) * Math.min(2 ** attempt, MAX_PAUSE_MS))
    }
    return async () => {
      const held = await withoutKey(client.gets(key))
      // After its lease the lock may be another caller's.
      if (held?.value === token) await withoutKey(client.cas(key, '', held.casUnique, 1).then(() => client.delete(key)))
    }
  }
}
