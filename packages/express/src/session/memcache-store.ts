// oxlint-disable typescript/no-misused-promises -- express-session's Store has callbacks; who gives none gets a promise
import type { Session, SessionData, Store as ExpressSessionStore } from 'express-session'
import type { Request } from 'express'
import { differsAsJson, SessionRepository } from 'memcache-ts'
import type { SessionSnapshot, Ttl } from 'memcache-ts'
import { watchOutages } from './outage-watch.ts'
import { cookieChanged } from './session-cookie.ts'
import { SessionLifetime, ttl } from './session-lifetime.ts'
import { resolveStoreOptions } from './store-options.ts'
import type { MemcacheStoreOptions } from './store-options.ts'
import type { LockOptions, SessionLock } from './session.ts'
import { Store } from './store.ts'

/** The same class with the types that callers of express-session know. */
const TypedStore = Store as unknown as abstract new () => ExpressSessionStore

/** A session with its id, as `all` has it. */
export type StoredSession = SessionData & { id: string }

/** A Node callback. */
export type Callback<Value = void> = (error?: unknown, value?: Value) => void

/** What a request had read of its session, or has written to it. */
interface Held {
  readonly id: string
  readonly snapshot: SessionSnapshot
  /** The cookie then, as it was stored. */
  readonly cookie: unknown
  /** The lifetime that its item has been given since. */
  readonly ttlSet: Ttl | undefined
  /** What it still had to live, where the server tells. */
  readonly ttlSeconds: number
}

/** What a touch comes down to. */
export type TouchKind = 'nothing' | 'renewal' | 'write'

/**
 * Sessions in memcached, for `express-session`. No write is lost: each is merged, by top-level key, with what parallel
 * requests wrote meanwhile. A destroyed session stays so. A request that only reads is one round trip. Every method takes a
 * callback, or returns a promise; one that nobody waits for does not crash the process. Events: `disconnect` when all servers
 * are away, `connect` when one is back.
 */
export class MemcacheStore extends TypedStore {
  readonly #sessions: SessionRepository
  readonly #lifetime: SessionLifetime
  readonly #usualTtl: Ttl
  readonly #touchAfterSeconds: number
  /** Whether reading a session sets its lifetime, which is right where none lives longer than is usual. */
  #touchesOnRead: boolean
  #isWatching = false
  /** By the data handed to express-session, and by the session object made of it. */
  readonly #held = new WeakMap<object, Held>()

  /** @throws MemcacheOptionError for an option that there is not, or a value that cannot be. */
  constructor(options: MemcacheStoreOptions = {}) {
    super()
    const { ttlSeconds, maxAgeMs, touchAfterSeconds, encryptionKeys, cache } = resolveStoreOptions(options)
    this.#lifetime = new SessionLifetime(ttlSeconds, maxAgeMs)
    this.#usualTtl = ttl(this.#lifetime.usualSeconds)
    this.#touchAfterSeconds = touchAfterSeconds
    this.#touchesOnRead = touchAfterSeconds === 0
    const hasChanged = (key: string, before: unknown, after: unknown): boolean =>
      key === 'cookie' ? cookieChanged(before, after) : differsAsJson(key, before, after)
    this.#sessions = new SessionRepository({ cache, encryptionKeys, hasChanged })
  }

  override get(id: string): Promise<SessionData | undefined>
  override get(id: string, callback: (error: unknown, session?: SessionData | null) => void): void
  override get(id: string, callback?: Callback<SessionData | undefined>): Promise<SessionData | undefined> | void {
    return settle(this.#read(id), callback)
  }

  override set(id: string, session: SessionData): Promise<void>
  override set(id: string, session: SessionData, callback: Callback | undefined): void
  override set(id: string, session: SessionData, callback?: Callback): Promise<void> | void {
    return settle(this.#write(id, session), callback)
  }

  override destroy(id: string): Promise<void>
  override destroy(id: string, callback: Callback | undefined): void
  override destroy(id: string, callback?: Callback): Promise<void> | void {
    // A session that `onCacheDown: 'anonymous'` made up has no id.
    return settle(typeof id === 'string' ? this.#destroy(id) : Promise.resolve(), callback)
  }

  /** Lengthens a session's life; without a round trip, and calling back at once, where reading it has done so. */
  override touch(id: string, session: SessionData): Promise<void>
  override touch(id: string, session: SessionData, callback: Callback | undefined): void
  override touch(id: string, session: SessionData, callback?: Callback): Promise<void> | void {
    if (this.touchKind(id, session) !== 'nothing') return settle(this.#touch(id, session), callback)
    return callback === undefined ? Promise.resolve() : callback()
  }

  /** All sessions, with their ids. What begins or ends meanwhile may be missed, and all is read: it is for administrators. */
  override all(): Promise<StoredSession[]>
  override all(callback: (error: unknown, sessions?: StoredSession[]) => void): void
  override all(callback?: Callback<StoredSession[]>): Promise<StoredSession[]> | void {
    return settle(this.#all(), callback)
  }

  /** The ids of all sessions, as `all`. One that memcached could not hold comes as its hash. */
  ids(): Promise<string[]>
  ids(callback: (error: unknown, ids?: string[]) => void): void
  ids(callback?: Callback<string[]>): Promise<string[]> | void {
    return settle(
      this.#all().then((sessions) => sessions.map(({ id }) => id)),
      callback,
    )
  }

  /** How many sessions there are, as `all`. */
  override length(): Promise<number>
  override length(callback: (error: unknown, length?: number) => void): void
  override length(callback?: Callback<number>): Promise<number> | void {
    return settle(
      this.#all().then((sessions) => sessions.length),
      callback,
    )
  }

  /** Ends all sessions at once, in all processes, and touches nothing else. */
  override clear(): Promise<void>
  override clear(callback: Callback | undefined): void
  override clear(callback?: Callback): Promise<void> | void {
    return settle(this.#sessions.clear(), callback)
  }

  /** Makes the request's session, which remembers what it was made of. */
  override createSession(request: Request, data: SessionData): Session & SessionData {
    const held = this.#held.get(data)
    const session = super.createSession(request, data)
    if (held !== undefined) this.#held.set(session, held)
    return session
  }

  createdMsOf(_session: object): number | undefined { return undefined }
  setCreatedMs(_session: object, _createdMs: number): void {}
  lock(_id: string, _options: LockOptions | undefined): Promise<SessionLock> { throw new Error() }

  /** Whether there is nothing to write of a session: it is as it was read, and its life has been lengthened. */
  protected isUnchanged(id: string, session: SessionData): boolean {
    const held = this.#heldAs(id, session)
    if (held === undefined || this.touchKind(id, session) !== 'nothing') return false
    return JSON.stringify({ ...session, cookie: held.cookie }) === held.snapshot.seen
  }

  /** What touching a session comes down to: a round trip less than one would think, most of the time. */
  protected touchKind(id: string, session: SessionData): TouchKind {
    const held = this.#heldAs(id, session)
    // express-session compares sessions without their cookies, so that "remember me" alone comes as a touch.
    if (held === undefined || cookieChanged(held.cookie, session.cookie)) return 'write'
    const nowMs = Date.now()
    const seconds = this.#lifetime.secondsOf(session, nowMs)
    if (seconds === 0) return 'write'
    if (held.ttlSet === ttl(seconds)) return 'nothing'
    // Where the server does not tell how long it still lives, it may be any time.
    const isRecent = Number.isFinite(held.ttlSeconds) && seconds - held.ttlSeconds < this.#touchAfterSeconds
    return isRecent ? 'nothing' : 'renewal'
  }

  async #read(id: string): Promise<SessionData | undefined> {
    this.#watch()
    const found = await this.#sessions.read(id, this.#touchesOnRead ? this.#usualTtl : undefined)
    if (found === undefined) return undefined
    const nowMs = Date.now()
    const { data } = found
    const seconds = this.#lifetime.secondsOf(data, nowMs)
    // Its item may live a little longer than its cookie, which is what counts.
    if (seconds === 0) return undefined
    let ttlSet = found.touched ? this.#usualTtl : undefined
    if (ttlSet !== undefined && seconds > this.#lifetime.usualSeconds) {
      // It lives longer than is usual here, so reading has shortened its life: not again.
      this.#touchesOnRead = false
      ttlSet = ttl(seconds)
      await this.#sessions.touch(found, ttlSet)
    }
    const cookie = { ...(data['cookie'] as object) }
    this.#held.set(data, { id, snapshot: found, cookie, ttlSet, ttlSeconds: found.ttlSeconds })
    this.#lifetime.restore(data, found.ttlSeconds, nowMs)
    return data as unknown as SessionData
  }

  async #write(id: string, session: SessionData): Promise<void> {
    this.#watch()
    const nowMs = Date.now()
    const stored = this.#lifetime.toStored(session, nowMs)
    if (this.#lifetime.secondsOf(stored, nowMs) > this.#lifetime.usualSeconds) this.#touchesOnRead = false
    const lifetime = this.#lifetime
    // Of what was merged: another request may have changed how long the session lives.
    const ttlOf = (merged: Record<string, unknown>): Ttl | undefined => lifetime.ttlOf(merged, nowMs)
    const written = await this.#sessions.write(id, stored, this.#heldAs(id, session)?.snapshot, ttlOf)
    if (written !== undefined) this.#hold(id, session, written, stored, lifetime.ttlOf(stored, nowMs))
  }

  async #touch(id: string, session: SessionData): Promise<void> {
    this.#watch()
    const held = this.#heldAs(id, session)
    if (held === undefined) return this.#touchStranger(id, session)
    if (this.touchKind(id, session) === 'write') return this.#write(id, session)
    const { snapshot } = held
    const nowMs = Date.now()
    const stored = this.#lifetime.toStored(session, nowMs)
    const ttlSet = this.#lifetime.ttlOf(stored, nowMs)!
    const endsByItself = (stored['cookie'] as { expires?: unknown }).expires
    if (typeof endsByItself !== 'string' && !(endsByItself instanceof Date)) {
      await this.#sessions.touch(snapshot, ttlSet)
      return
    }
    // Its end is in its value. Whoever has written it meanwhile has written that too.
    const written = snapshot.seen === snapshot.stored ? await this.#sessions.renew(stored, snapshot, ttlSet) : undefined
    if (written !== undefined) this.#hold(id, session, written, stored, ttlSet)
  }

  /** A touch of a session that was not read here, by a caller who is not express-session. */
  async #touchStranger(id: string, { cookie }: SessionData): Promise<void> {
    const found = await this.#sessions.read(id)
    if (found === undefined) return
    const nowMs = Date.now()
    const stored = this.#lifetime.toStored({ ...found.data, ...(cookie === undefined ? {} : { cookie }) }, nowMs)
    await this.#sessions.write(id, stored, found, (merged) => this.#lifetime.ttlOf(merged, nowMs))
  }

  async #destroy(id: string): Promise<void> {
    this.#watch()
    await this.#sessions.destroy(id)
  }

  async #all(): Promise<StoredSession[]> {
    this.#watch()
    const sessions: StoredSession[] = []
    for await (const [id, data] of this.#sessions.entries()) {
      const nowMs = Date.now()
      if (this.#lifetime.secondsOf(data, nowMs) === 0) continue
      this.#lifetime.restore(data, Infinity, nowMs)
      sessions.push({ ...(data as unknown as SessionData), id })
    }
    return sessions
  }

  /**
   * Remembers what a request has written to its session. What somebody else writes, who is not express-session, is written as
   * it is, each time anew.
   */
  #hold(
    id: string,
    session: SessionData,
    snapshot: SessionSnapshot,
    stored: Record<string, unknown>,
    ttlSet: Ttl | undefined,
  ): void {
    if (typeof (session as Partial<Session>).save !== 'function') return
    this.#held.set(session, { id, snapshot, cookie: stored['cookie'], ttlSet, ttlSeconds: Infinity })
  }

  #heldAs(id: string, session: SessionData): Held | undefined {
    const held = this.#held.get(session)
    return held?.id === id ? held : undefined
  }

  /** The default cache is not opened before it is used. */
  #watch(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    watchOutages(this.#sessions.cache, {
      away: () => this.emit('disconnect'),
      back: () => this.emit('connect'),
    })
  }
}

/**
 * Hands a promise's outcome to a Node callback, outside of the promise: what the callback throws is its own. Without a callback
 * the promise is the caller's, who may also leave it.
 */
function settle<Value>(work: Promise<Value>, callback: Callback<Value> | undefined): Promise<Value> | void {
  if (callback === undefined) {
    work.catch(() => {})
    return work
  }
  work.then(
    (value) => process.nextTick(callback, null, value),
    (error: unknown) => process.nextTick(callback, error),
  )
}
