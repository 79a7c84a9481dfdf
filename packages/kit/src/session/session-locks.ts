import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { checkOptions, MemcacheOptionError, MemcacheServerError, ttlToSeconds } from 'memcache-ts-protocol'
import { dropForeignLock, dropUnchanged } from '../engine/engine.ts'
import { describeValue } from '../option-types.ts'
import { withoutKey } from './session-errors.ts'
import type { LockOptions } from './session.ts'
import type { SessionItems } from './session-index.ts'

const MAX_PAUSE_MS = 32
const TOKEN_BYTES = 12

/** The value of a lock that is being released, without meta commands. It is no caller's token. */
const RELEASED = 'A'.repeat(16)

/** Returns whether a value is the token of a lock. */
function isToken(value: unknown): boolean {
  return typeof value === 'string' && value.length === RELEASED.length
}

/** The times of a lock. */
export interface LockTimes {
  readonly waitMs: number
  /** The lifetime of the lock in memcached: if its holder dies, it ends then. */
  readonly leaseSeconds: number
}

/**
 * Returns the times of a lock.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function toLockTimes(options: LockOptions): LockTimes {
  const hints = { ttlSeconds: 'leaseSeconds', timeoutMs: 'waitMs' }
  checkOptions('lock', options, { names: ['waitMs', 'leaseSeconds'], hints })
  const { waitMs = 10_000, leaseSeconds = 30 } = options
  if (typeof waitMs !== 'number' || !(waitMs >= 0))
    throw new MemcacheOptionError(`waitMs must be a number of at least 0, got ${describeValue(waitMs)}`)
  return { waitMs, leaseSeconds: ttlToSeconds(leaseSeconds, 'leaseSeconds') }
}

/** Takes locks on sessions. They are advisory: requests without the lock still write, and their writes are merged. */
export class SessionLocks {
  readonly #items: SessionItems

  constructor(items: SessionItems) {
    this.#items = items
  }

  /**
   * Waits for the lock of a session. Resolves to the function that releases it.
   *
   * @throws MemcacheServerError if others hold it for longer than `waitMs`.
   */
  async take(id: string, { waitMs, leaseSeconds }: LockTimes): Promise<() => Promise<void>> {
    const client = this.#items.client()
    const key = this.#items.key(['', 'lock', id])
    const token = randomBytes(TOKEN_BYTES).toString('base64url')
    const endMs = performance.now() + waitMs
    for (let attempt = 0; !(await withoutKey(client.add(key, token, leaseSeconds))); attempt++) {
      if (attempt === 0 && (await withoutKey(dropForeignLock(client, key, isToken)))) continue
      if (performance.now() > endMs) {
        throw new MemcacheServerError(
          `another request has locked the session for longer than ${waitMs} ms: try again, or raise waitMs`,
          {
            retryable: true,
          },
        )
      }
      await delay((1 + Math.random()) * Math.min(2 ** attempt, MAX_PAUSE_MS))
    }
    return async () => {
      const held = await withoutKey(client.gets(key))
      // After the lease has ended, another caller may hold the lock.
      if (held?.value !== token) return
      await withoutKey(dropUnchanged(client, key, { casUnique: held.casUnique, meanwhile: RELEASED }))
    }
  }
}
