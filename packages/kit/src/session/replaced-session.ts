import type { Retirement } from './session-item.ts'
import type { Session } from './session.ts'

/** The operations of a store on a session that another one replaces. */
export interface Replacing {
  /** Destroys the session after merging the writes of other requests into its replacement. */
  retire(): Promise<Retirement>
  /** Restores the retired session, unless another request has destroyed it or its replacement. */
  revive(successor: Session): Promise<void>
  /** Stores the session under its id, in the state in which it was replaced. */
  save(): Promise<void>
  destroy(): Promise<void>
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
  /** Whether the replacement was destroyed, so that this session must not be restored. */
  #isEnded = false
  #comingBack: Promise<void> | undefined

  constructor(id: string, successor: Session, store: Replacing) {
    this.id = id
    this.#successor = successor
    this.#store = store
  }

  /** Destroys the session. */
  async retire(): Promise<Retirement> {
    const retirement = await this.#store.retire()
    this.#isRetired = true
    return retirement
  }

  /** Records that the replacement was replaced in turn. */
  passOn(successor: Session): void {
    this.#successor = successor
  }

  /** Makes the id work again for a client that has not received the new one. */
  comeBack(): Promise<void> {
    if (this.#isEnded) return Promise.resolve()
    return (this.#comingBack ??= this.#isRetired ? this.#store.revive(this.#successor) : this.#store.save())
  }

  /** Destroys the session for good, after its replacement was destroyed; `undefined` if there is nothing to wait for. */
  end(): Promise<void> | undefined {
    this.#isEnded = true
    return this.#comingBack?.catch(() => {}).then(() => this.#store.destroy())
  }
}
