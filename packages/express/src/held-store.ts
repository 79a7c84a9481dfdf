// oxlint-disable typescript/no-misused-promises -- express-session's Store has callbacks; who gives none gets a promise
import type { Request } from 'express'
import type { SessionData } from 'express-session'
import { MemcacheStore } from './memcache-store.ts'
import type { Callback } from './memcache-store.ts'
import type { MemcacheStoreOptions } from './store-options.ts'

/** What is thrown through express-session's `end` to hold the response; it has nothing to tell. */
const HELD: unique symbol = Symbol('the response is held')

/** A write that express-session asked for when the response was ended, and that has not begun. */
export interface HeldWrite {
  /** What would be lost: a session's life not lengthened is no loss, a session not destroyed is a danger. */
  readonly kind: 'save' | 'destroy' | 'renewal'
  begin(): Promise<void>
}

/**
 * The store of `memcacheSession`. express-session begins to save when a response is ended, and sends its head at once: what
 * goes wrong then, the client is not told. Here the end can be held instead. What express-session asks the store for is not
 * begun but handed to the caller, and its `end` is left by a throw before it has sent anything: it knows no other way out.
 */
export class HeldStore extends MemcacheStore {
  readonly #resaves: boolean
  #isHolding = false
  #write: HeldWrite | undefined

  /** @param resaves express-session's `resave`. */
  constructor(options: MemcacheStoreOptions, resaves: boolean) {
    super(options)
    this.#resaves = resaves
  }

  /** Runs express-session's `end`; returns what has to be written before the response may be sent, or `undefined` when it was sent. */
  hold(end: () => void): HeldWrite | undefined {
    this.#isHolding = true
    try {
      end()
    } catch (thrown) {
      if (thrown !== HELD) throw thrown
    } finally {
      this.#isHolding = false
    }
    const write = this.#write
    this.#write = undefined
    return write
  }

  /** Whether express-session would find nothing to write: it hashes a session twice to find that out. */
  hasNothingToWrite({ session, sessionID }: Request): boolean {
    return !this.#resaves && session !== undefined && session !== null && this.isUnchanged(sessionID, session)
  }

  override set(id: string, session: SessionData): Promise<void>
  override set(id: string, session: SessionData, callback: Callback | undefined): void
  override set(id: string, session: SessionData, callback?: Callback): Promise<void> | void {
    if (this.#isHolding) this.#leave('save', async () => super.set(id, session))
    return callback === undefined ? super.set(id, session) : super.set(id, session, callback)
  }

  override destroy(id: string): Promise<void>
  override destroy(id: string, callback: Callback | undefined): void
  override destroy(id: string, callback?: Callback): Promise<void> | void {
    if (this.#isHolding) this.#leave('destroy', async () => super.destroy(id))
    return callback === undefined ? super.destroy(id) : super.destroy(id, callback)
  }

  override touch(id: string, session: SessionData): Promise<void>
  override touch(id: string, session: SessionData, callback: Callback | undefined): void
  override touch(id: string, session: SessionData, callback?: Callback): Promise<void> | void {
    const kind = this.#isHolding ? this.touchKind(id, session) : 'nothing'
    if (kind !== 'nothing') this.#leave(kind === 'write' ? 'save' : kind, async () => super.touch(id, session))
    return callback === undefined ? super.touch(id, session) : super.touch(id, session, callback)
  }

  #leave(kind: HeldWrite['kind'], begin: () => Promise<void>): never {
    this.#isHolding = false
    this.#write = { kind, begin }
    throw HELD
  }
}
