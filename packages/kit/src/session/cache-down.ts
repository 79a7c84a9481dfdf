import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { WriteKind } from './session-writes.ts'
import { isDown, sessionUnavailable } from './session-unavailable.ts'
import type { SessionStep } from './session-unavailable.ts'

/**
 * What becomes of a request while memcached does not answer:
 *
 *   error      one whose session cannot be read, or what it changed be saved, is an error: nobody is logged out in silence
 *   anonymous  it goes on with an empty session that is not kept, and leaves the visitor's cookie alone
 *   skip       it goes on without `req.session`, as express-session has it for a store that is disconnected
 */
export type OnCacheDown = 'error' | 'anonymous' | 'skip'

const CHOICES: readonly string[] = ['error', 'anonymous', 'skip'] satisfies readonly OnCacheDown[]
const WARN_EVERY_MS = 60_000

const ADVICE = "; the option onCacheDown decides what becomes of such requests: 'error' (this), 'anonymous' or 'skip'"

/** Goes by `onCacheDown`. */
export class CacheDown {
  readonly #choice: OnCacheDown
  readonly #warn: (message: string) => void
  #warnedAt = -Infinity

  /** @throws MemcacheOptionError for a choice that there is not. */
  constructor(choice: OnCacheDown, warn: (message: string) => void) {
    if (!CHOICES.includes(choice)) {
      throw new MemcacheOptionError(`onCacheDown must be 'error', 'anonymous' or 'skip', got '${choice}'`)
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

  /** Whether such a request has a session, which is not kept. */
  get makesAnonymous(): boolean {
    return this.#choice === 'anonymous'
  }

  /** Whether the response goes out although this was not written. */
  forgives(error: unknown, kind: WriteKind): boolean {
    if (!isDown(error)) return false
    if (kind === 'renewal') return true
    // A logout that was not carried out must not look like one.
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
