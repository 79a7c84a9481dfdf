import type { Ttl } from 'memcache-ts-protocol'
import type { SessionSnapshot } from './session-item.ts'
import type { SessionData } from './session-merge.ts'

/** A session after a write. */
export interface WrittenState {
  readonly snapshot: SessionSnapshot
  /** The session as it was stored. */
  readonly stored: SessionData
  readonly ttlSet: Ttl | undefined
}

/** A session as it was last read from a store or written to it, without the changes that its request has made since. */
export class HeldSession {
  /** The store of the session; no other store knows this session. */
  readonly store: object
  readonly id: string
  readonly snapshot: SessionSnapshot
  /** The cookie as it was stored at that time. */
  readonly cookie: unknown
  /** The lifetime that its item has been given since; `undefined` if none. */
  readonly ttlSet: Ttl | undefined
  /** The remaining lifetime of the session when it was read; `Infinity` if it is not known. */
  readonly leftSeconds: number
  /** The time when the session was created, if sessions have a maximum lifetime. */
  readonly createdMs: number | undefined
  /** Whether reading the session has reset its lifetime, so that an unchanged session needs no write. */
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

  /** Returns the stored state of a session object that a store has returned; `undefined` if there is none. */
  static of(session: object): HeldSession | undefined {
    return Attachment.of(session) as HeldSession | undefined
  }

  /** Attaches this state to a session. */
  holdFor(session: object): void {
    Attachment.put(session, this)
  }
}

// oxlint-disable-next-line typescript/no-extraneous-class -- only a constructor can add a private field
class Given {
  constructor(object: object) {
    // oxlint-disable-next-line no-constructor-return -- a subclass adds its private field to this object
    return object
  }
}

/**
 * Attaches a hidden note to an object, in a private field that a constructor adds to it. A WeakMap would do the same,
 * but every run of the garbage collector looks at each of its entries: one or two for each request would cost more than
 * reading a session.
 */
class Attachment extends Given {
  #note: object

  private constructor(object: object, note: object) {
    super(object)
    this.#note = note
  }

  /** Returns the note on an object; `undefined` if there is none. */
  static of(object: object): object | undefined {
    return #note in object ? object.#note : undefined
  }

  /** Puts a note on an object and replaces an earlier one. */
  static put(object: object, note: object): void {
    if (#note in object) object.#note = note
    else void new Attachment(object, note)
  }
}
