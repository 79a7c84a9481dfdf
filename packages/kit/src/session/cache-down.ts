import { MemcacheOptionError } from 'memcache-ts-protocol'
import { describeValue } from '../option-types.ts'
import type { WriteKind } from './session-writes.ts'
import { isDown, sessionUnavailable } from './session-errors.ts'
import type { SessionStep } from './session-errors.ts'

/**
 * The behaviour of a request while memcached does not respond:
 *
 * ```text
 * error      the request fails with status 503 if its session cannot be read or saved: no user is logged out silently
 * anonymous  the request continues with an empty session that is not stored, and the visitor's cookie stays as it is
 * skip       the request continues without `req.session`, as with express-session and a disconnected store
 * ```
 */
export type OnCacheDown = 'error' | 'anonymous' | 'skip'

const CHOICES: readonly string[] = ['error', 'anonymous', 'skip'] satisfies readonly OnCacheDown[]
const WARN_EVERY_MS = 60_000

const ADVICE =
  "; the option onCacheDown decides what happens to such requests: 'error' (as here), 'anonymous' or 'skip'"

/** Applies the option `onCacheDown`. */
export class CacheDown {
  readonly #choice: OnCacheDown
  readonly #warn: (message: string) => void
  #warnedAt = -Infinity

  /** @throws MemcacheOptionError if the choice is unknown. */
  constructor(choice: OnCacheDown, warn: (message: string) => void) {
    if (!CHOICES.includes(choice)) {
      throw new MemcacheOptionError(`onCacheDown must be 'error', 'anonymous' or 'skip', got ${describeValue(choice)}`)
    }
    this.#choice = choice
    this.#warn = warn
  }

  /** Returns whether a request continues although its session could not be read. */
  isForgivenRead(error: unknown): boolean {
    return this.#choice !== 'error' && isDown(error)
  }

  /** Returns the error that the application receives; its status is 503 if memcached is down. */
  explain(error: unknown, step: SessionStep): unknown {
    const isChoice = this.#choice === 'error' && (step === 'read' || step === 'saved')
    return sessionUnavailable(error, step, isChoice ? ADVICE : '')
  }

  /** Whether requests have no session while all servers are unreachable. */
  get skips(): boolean {
    return this.#choice === 'skip'
  }

  /** Whether a request whose session cannot be read gets an empty session that is not stored. */
  get makesAnonymous(): boolean {
    return this.#choice === 'anonymous'
  }

  /** Returns whether the response is sent although a write failed. */
  forgives(error: unknown, kind: WriteKind): boolean {
    if (!isDown(error)) return false
    if (kind === 'renewal') return true
    // A logout that failed must not look like a success.
    if (this.#choice === 'error' || kind === 'destroy') return false
    const now = performance.now()
    if (now - this.#warnedAt > WARN_EVERY_MS) {
      this.#warnedAt = now
      this.#warn(
        `memcache-ts: changes of sessions are lost while memcached is unavailable (onCacheDown: '${this.#choice}'; choose 'error' to fail such requests instead): ${(error as Error).message}`,
      )
    }
    return true
  }
}
