import type { Ttl } from 'memcache-ts-protocol'
import { Attachment } from './attachment.ts'
import type { SessionSnapshot } from './session-repository.ts'

/** A session as it was last read from a store or written to it, without the changes that its request has made since. */
export class HeldSession {
  /** The store, whose sessions no other store knows. */
  readonly store: object
  readonly id: string
  readonly snapshot: SessionSnapshot
  /** The cookie then, as it was stored. */
  readonly cookie: unknown
  /** The lifetime that its item has been given since. */
  readonly ttlSet: Ttl | undefined
  /** What the session still had to live; `Infinity` where that is not known. */
  readonly leftSeconds: number
  /** When the session was begun, where sessions have a longest lifetime. */
  readonly createdMs: number | undefined
  /**
   * Whether reading it has given it all of its lifetime again, so that nothing is to do for a session that was not
   * changed.
   */
  readonly isRenewed: boolean

  constructor(facts: Readonly<Omit<HeldSession, 'holdFor'>>) {
    this.store = facts.store
    this.id = facts.id
    this.snapshot = facts.snapshot
    this.cookie = facts.cookie
    this.ttlSet = facts.ttlSet
    this.leftSeconds = facts.leftSeconds
    this.createdMs = facts.createdMs
    this.isRenewed = facts.isRenewed
  }

  /** The stored state of a session, by the object that a store has returned for it. */
  static of(session: object): HeldSession | undefined {
    return Attachment.of(session) as HeldSession | undefined
  }

  /** Attaches this state to a session. */
  holdFor(session: object): void {
    Attachment.put(session, this)
  }
}
