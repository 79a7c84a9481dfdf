import type { Ttl } from 'memcache-ts-protocol'
import type { SessionSnapshot } from './session-item.ts'

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

// oxlint-disable-next-line typescript/no-extraneous-class -- a private field is added by a constructor alone
class Given {
  constructor(object: object) {
    // oxlint-disable-next-line no-constructor-return -- a subclass adds its private field to this object
    return object
  }
}

/**
 * Notes on an object that nobody else can see, as a private field which a constructor adds to it. A WeakMap would do
 * the same, but each of its entries is looked at by every run of the garbage collector: with one or two for each
 * request they cost more than reading a session.
 */
class Attachment extends Given {
  #note: object

  private constructor(object: object, note: object) {
    super(object)
    this.#note = note
  }

  /** The note on an object; `undefined` if there is none. */
  static of(object: object): object | undefined {
    return #note in object ? object.#note : undefined
  }

  /** Puts a note on an object, in place of the one that was there. */
  static put(object: object, note: object): void {
    if (#note in object) object.#note = note
    else void new Attachment(object, note)
  }
}
