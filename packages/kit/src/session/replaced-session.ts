import type { Retirement } from './session-snapshot.ts'
import type { Session } from './session.ts'

/** What a store does with a session whose place another one takes. */
export interface Replacing {
  /** Destroys the session, after what others have written into it was merged into the one that takes its place. */
  retire(): Promise<Retirement>
  /** Brings the retired session back, unless another request has destroyed it or the one that has its place now. */
  revive(successor: Session): Promise<void>
  /** Stores the session under its id, as its request had it when it was replaced. */
  save(): Promise<void>
  destroy(): Promise<void>
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
  /** Nothing of it may be left, since the session in its place was destroyed. */
  #isEnded = false
  #comingBack: Promise<void> | undefined

  constructor(id: string, successor: Session, store: Replacing) {
    this.id = id
    this.#successor = successor
    this.#store = store
  }

  /** Destroys it. */
  async retire(): Promise<Retirement> {
    const retirement = await this.#store.retire()
    this.#isRetired = true
    return retirement
  }

  /** Notes that a further session has taken the place of the one that took this one's. */
  passOn(successor: Session): void {
    this.#successor = successor
  }

  /** Has its id work for a client that was not sent the new one. */
  comeBack(): Promise<void> {
    if (this.#isEnded) return Promise.resolve()
    return (this.#comingBack ??= this.#isRetired ? this.#store.revive(this.#successor) : this.#store.save())
  }

  /** Ends it for good with the one in its place; `undefined` if there is nothing to wait for. */
  end(): Promise<void> | undefined {
    this.#isEnded = true
    return this.#comingBack?.catch(() => {}).then(() => this.#store.destroy())
  }
}
