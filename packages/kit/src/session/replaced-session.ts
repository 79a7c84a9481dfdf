import { setTimeout as delay } from 'node:timers/promises'
import { isDown } from './session-errors.ts'
import type { Retirement } from './session-snapshot.ts'
import type { Session } from './session.ts'

/** How long it is tried to find out what became of a session, and the pauses between, if memcached does not answer. */
const MAX_SETTLING_MS = 600_000
const FIRST_PAUSE_MS = 100
const MAX_PAUSE_MS = 10_000

/** What a store does with a session whose place another one takes. */
export interface Replacing {
  /** Destroys the session, after what others have written into it was merged into the one that takes its place. */
  retire(): Promise<Retirement>
  /** Brings the retired session back, unless another request has destroyed it or the one that has its place now. */
  revive(successor: Session): Promise<void>
  /** Stores the session under its id, as its request had it when it was replaced. */
  save(): Promise<void>
  destroy(): Promise<void>
  /** Destroys the one that has its place now. */
  destroySuccessor(successor: Session): Promise<void>
}

/**
 * A session whose place another one has taken, which has a new id and the same data. If the client has left before it
 * was sent the new id, the old one works again, since the client has no other. It then has the data of the time when it
 * was replaced: what the request has put into the session since belongs to the new id alone, as it may be the
 * privileges for which that was requested.
 */
export class ReplacedSession {
  readonly id: string
  readonly #store: Replacing
  #successor: Session
  #isRetired = false
  readonly #stopping = new AbortController()
  /** Finds out whether it was destroyed. */
  #settling: Promise<void> | undefined
  /** Nothing of it may be left, since the session in its place was destroyed. */
  #isEnded = false
  #comingBack: Promise<void> | undefined

  constructor(id: string, successor: Session, store: Replacing) {
    this.id = id
    this.#successor = successor
    this.#store = store
  }

  /**
   * Destroys it. If memcached does not tell whether it was destroyed, that is found out in the background: if another
   * request had destroyed it, as a logout does, the one in its place is destroyed too.
   */
  async retire(): Promise<Retirement> {
    const retirement = await this.#store.retire()
    this.#isRetired = true
    if (retirement.outcome === 'unknown') {
      this.#settling = this.#settle(retirement.error, this.#stopping.signal).catch(() => {})
    }
    return retirement
  }

  /** Notes that a further session has taken the place of the one that took this one's. */
  passOn(successor: Session): void {
    this.#successor = successor
  }

  /** Has its id work for a client that was not sent the new one. */
  comeBack(): Promise<void> {
    if (this.#isEnded) return Promise.resolve()
    return (this.#comingBack ??= this.#isRetired ? this.#revive() : this.#store.save())
  }

  /** Ends it for good with the one in its place; `undefined` if there is nothing to wait for. */
  end(): Promise<void> | undefined {
    this.#isEnded = true
    if (this.#comingBack === undefined && this.#settling === undefined) return undefined
    this.#stopping.abort()
    return Promise.allSettled([this.#comingBack, this.#settling]).then(() => this.#store.destroy())
  }

  async #revive(): Promise<void> {
    this.#stopping.abort()
    await this.#settling
    await this.#store.revive(this.#successor)
  }

  /** @param cause why it is not known whether it was destroyed. */
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
