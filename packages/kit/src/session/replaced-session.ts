import { setTimeout as delay } from 'node:timers/promises'
import { isDown } from './session-errors.ts'
import type { Retirement } from './session-item.ts'
import type { Session } from './session.ts'

/** How long a retirement with an unknown outcome is repeated, and the pauses between the attempts. */
const MAX_SETTLING_MS = 600_000
const FIRST_PAUSE_MS = 100
const MAX_PAUSE_MS = 10_000

/** The operations of a store on a session that another one replaces. */
export interface Replacing {
  /** Destroys the session after merging the writes of other requests into its replacement. */
  retire(): Promise<Retirement>
  /** Restores the retired session, unless another request has destroyed it or its replacement. */
  revive(successor: Session): Promise<void>
  /** Stores the session under its id, in the state in which it was replaced. */
  save(): Promise<void>
  destroy(): Promise<void>
  /** Destroys the replacement. */
  destroySuccessor(successor: Session): Promise<void>
}

/**
 * A session that was replaced by another one with a new id and the same data. If the client has disconnected before the
 * new id was sent to it, the old id works again, since the client has no other. The restored session has the data of
 * the time when it was replaced: later changes of the request belong to the new id only, since they may be the
 * privileges for which the new id was requested.
 */
export class ReplacedSession {
  readonly id: string
  readonly #store: Replacing
  #successor: Session
  #isRetired = false
  readonly #stopping = new AbortController()
  /** Repeats the retirement until its outcome is known. */
  #settling: Promise<void> | undefined
  /** Whether the replacement was destroyed, so that this session must not be restored. */
  #isEnded = false
  #restoring: Promise<void> | undefined

  constructor(id: string, successor: Session, store: Replacing) {
    this.id = id
    this.#successor = successor
    this.#store = store
  }

  /**
   * Destroys the session. If it is unknown whether memcached has destroyed it, this is repeated in the background. If
   * another request had destroyed the session, as a logout does, the replacement is then destroyed too.
   */
  async retire(): Promise<Retirement> {
    const retirement = await this.#store.retire()
    this.#isRetired = true
    if (retirement.outcome === 'unknown') {
      this.#settling = this.#settle(retirement.error, this.#stopping.signal).catch(() => {})
    }
    return retirement
  }

  /** Records that the replacement was replaced in turn. */
  passOn(successor: Session): void {
    this.#successor = successor
  }

  /** Makes the id work again for a client that has not received the new one. */
  restore(): Promise<void> {
    if (this.#isEnded) return Promise.resolve()
    return (this.#restoring ??= this.#isRetired ? this.#revive() : this.#store.save())
  }

  /** Destroys the session for good, after its replacement was destroyed; `undefined` if there is nothing to wait for. */
  end(): Promise<void> | undefined {
    this.#isEnded = true
    if (this.#restoring === undefined && this.#settling === undefined) return undefined
    this.#stopping.abort()
    return Promise.allSettled([this.#restoring, this.#settling]).then(() => this.#store.destroy())
  }

  async #revive(): Promise<void> {
    this.#stopping.abort()
    await this.#settling
    await this.#store.revive(this.#successor)
  }

  /** @param cause why the outcome of the retirement is unknown. */
  async #settle(cause: unknown, signal: AbortSignal): Promise<void> {
    let error = cause
    let pauseMs = FIRST_PAUSE_MS
    for (let leftMs = MAX_SETTLING_MS; leftMs > 0 && isDown(error); leftMs -= pauseMs) {
      await delay(pauseMs, undefined, { ref: false, signal })
      pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)
      try {
        const retirement = await this.#store.retire()
        if (retirement.outcome === 'destroyed') return await this.#store.destroySuccessor(this.#successor)
        if (!('error' in retirement)) return
        error = retirement.error
      } catch (problem) {
        error = problem
      }
    }
  }
}
