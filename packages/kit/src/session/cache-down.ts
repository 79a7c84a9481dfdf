import { MemcacheOptionError } from 'memcache-ts-protocol'
import { describeValue } from '../option-types.ts'
import type { WriteKind } from './session-writes.ts'
import { isDown, sessionUnavailable } from './session-errors.ts'
import type { SessionStep } from './session-errors.ts'

/**
 * The behaviour of a request while memcached does not answer:
 *
 * ```text
 * error      the request fails with status 503 if its session cannot be read or saved: nobody is logged out in silence
 * anonymous  the request goes on with an empty session that is not kept, and the visitor's cookie stays as it is
 * skip       the request goes on without `req.session`, as with express-session and a disconnected store
 * ```
 */
export type OnCacheDown = 'error' | 'anonymous' | 'skip'

const CHOICES: readonly string[] = ['error', 'anonymous', 'skip'] satisfies readonly OnCacheDown[]
const WARN_EVERY_MS = 60_000

const ADVICE = "; the option onCacheDown decides what becomes of such requests: 'error' (this), 'anonymous' or 'skip'"

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

  /** Whether a request goes on although its session could not be read. */
  isForgivenRead(error: unknown): boolean {
    return this.#choice !== 'error' && isDown(error)
  }

  /** The error that an application is given, with status 503 if memcached is down. */
  explain(error: unknown, step: SessionStep): unknown {
    const isChoice = this.#choice === 'error' && (step === 'read' || step === 'saved')
    return sessionUnavailable(error, step, isChoice ? ADVICE : '')
  }

  /** Whether requests have no session while all servers are away. */
  get skips(): boolean {
    return this.#choice === 'skip'
  }

  /** Whether a request whose session cannot be read gets a session that is not kept. */
  get makesAnonymous(): boolean {
    return this.#choice === 'anonymous'
  }

  /** Whether the response is sent although a write failed. */
  forgives(error: unknown, kind: WriteKind): boolean {
    if (!isDown(error)) return false
    if (kind === 'renewal') return true
    // A logout that failed must not look like a success.
    if (this.#choice === 'error' || kind === 'destroy') return false
    const now = performance.now()
    if (now - this.#warnedAt > WARN_EVERY_MS) {
      this.#warnedAt = now
      this.#warn(
        `memcache-ts: what requests write to their sessions is dropped (onCacheDown: '${this.#choice}'): ${(error as Error).message}`,
      )
    }
    return true
  }
}
