// oxlint-disable typescript/no-misused-promises -- express-session's Store has callbacks; without one a method returns a promise
import { MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { engineOf } from '../engine/engine.ts'
import { HeldSession } from './held-session.ts'
import { ReplacedSession } from './replaced-session.ts'
import { newTombstone } from './session-codec.ts'
import { cookieChanged } from './session-cookie.ts'
import { isSession, SessionLifetime, ttl } from './session-lifetime.ts'
import { differsAsJson } from './session-merge.ts'
import type { SessionData } from './session-merge.ts'
import { SessionRepository } from './session-repository.ts'
import type { Retirement, SessionSnapshot } from './session-snapshot.ts'
import { SessionText, toJson } from './session-text.ts'
import { resolveStoreOptions } from './store-options.ts'
import type { MemcacheStoreOptions } from './store-options.ts'
import type { Callback, LockOptions, Session, SessionHolder, SessionLock, StoredData } from './session.ts'
import { settle, Store } from './store.ts'

/** A session with its id, as `all` has it. */
export type StoredSession = StoredData & { id: string }

/** What a touch comes down to. */
type TouchKind = 'nothing' | 'renewal' | 'write'

/** How often `destroySessionsOf` looks for further sessions. */
const MAX_LOOKS = 16
const DEFAULT_LOCK = { waitMs: 10_000, leaseSeconds: 30 }

/**
 * Sessions in memcached, for `memcacheSession` and express-session. No write is lost: each is merged, by path, with
 * what parallel requests wrote meanwhile. A destroyed session stays so. A request that only reads is one round trip.
 * Every method takes a callback, or returns a promise; one that nobody waits for does not crash the process. Events:
 * `disconnect` when all servers are away, `connect` when one is back.
 *
 * @example
 *   const store = new MemcacheStore({ prefix: 'sess' })
 *   app.use(session({ store, secret, resave: false, saveUninitialized: false })) // of express-session
 */
export class MemcacheStore extends Store {
  readonly #sessions: SessionRepository
  readonly #lifetime: SessionLifetime
  readonly #usualTtl: Ttl
  readonly #touchAfterSeconds: number
  readonly #maxLifetimeSeconds: number
  readonly #userId: MemcacheStoreOptions['userId']
  /** Whether reading a session sets its lifetime, which is right where none lives longer than is usual. */
  #touchesOnRead: boolean
  #isWatching = false
  /** When sessions were begun that have not been written yet. */
  readonly #createdMs = new WeakMap<object, number>()
  /** Writes of a session that are under way. The next write waits for them, since it is merged with their result. */
  readonly #writing = new Map<object, Promise<void>>()

  /** @throws MemcacheOptionError if an option is unknown or invalid. */
  constructor(options: MemcacheStoreOptions = {}) {
    super()
    const resolved = resolveStoreOptions(options)
    const { ttlSeconds, maxAgeMs, touchAfterSeconds, cache } = resolved
    this.#lifetime = new SessionLifetime(ttlSeconds, maxAgeMs)
    this.#usualTtl = ttl(this.#lifetime.usualSeconds)
    this.#touchAfterSeconds = touchAfterSeconds
    this.#touchesOnRead = touchAfterSeconds === 0
    this.#maxLifetimeSeconds = resolved.maxLifetimeSeconds
    this.#userId = resolved.userId
    const hasChanged = (key: string, before: unknown, after: unknown): boolean =>
      key === 'cookie' ? cookieChanged(before, after) : differsAsJson(key, before, after)
    this.#sessions = new SessionRepository({
      cache,
      hasChanged,
      // An option that is named but undefined is refused.
      ...(Object.hasOwn(resolved, 'encryptionKeys') && { encryptionKeys: resolved.encryptionKeys }),
    })
  }

  override get(id: string): Promise<StoredData | undefined>
  override get(id: string, callback: (error: unknown, session?: StoredData | null) => void): void
  override get(id: string, callback?: Callback<StoredData | undefined>): Promise<StoredData | undefined> | void {
    return settle(this.#read(id), callback)
  }

  override set(id: string, session: object): Promise<void>
  override set(id: string, session: object, callback: Callback | undefined): void
  override set(id: string, session: object, callback?: Callback): Promise<void> | void {
    return settle(this.#write(id, session), callback)
  }

  override destroy(id: string): Promise<void>
  override destroy(id: string, callback: Callback | undefined): void
  override destroy(id: string, callback?: Callback): Promise<void> | void {
    // A session that `onCacheDown: 'anonymous'` made up has no id.
    return settle(typeof id === 'string' ? this.#destroy(id) : Promise.resolve(), callback)
  }

  /** Lengthens a session's life; without a round trip, and calling back at once, where reading it has done so. */
  touch(id: string, session: object): Promise<void>
  touch(id: string, session: object, callback: Callback | undefined): void
  touch(id: string, session: object, callback?: Callback): Promise<void> | void {
    if (this.#touchKind(id, session) !== 'nothing') return settle(this.#touch(id, session), callback)
    return callback === undefined ? Promise.resolve() : callback()
  }

  /**
   * All sessions, with their ids. What begins or ends meanwhile may be missed, and all is read: it is for
   * administrators.
   */
  all(): Promise<StoredSession[]>
  all(callback: (error: unknown, sessions?: StoredSession[]) => void): void
  all(callback?: Callback<StoredSession[]>): Promise<StoredSession[]> | void {
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
  length(): Promise<number>
  length(callback: (error: unknown, length?: number) => void): void
  length(callback?: Callback<number>): Promise<number> | void {
    return settle(
      this.#all().then((sessions) => sessions.length),
      callback,
    )
  }

  /** Ends all sessions at once, in all processes, and touches nothing else. */
  clear(): Promise<void>
  clear(callback: Callback | undefined): void
  clear(callback?: Callback): Promise<void> | void {
    return settle(this.#sessions.clear(), callback)
  }

  /** Makes the request's session, which remembers what it was made of. */
  override createSession(request: SessionHolder, data: StoredData): Session {
    const held = HeldSession.of(data)
    const session = super.createSession(request, data)
    held?.holdFor(session)
    return session
  }

  /**
   * The sessions of one user, by the option `userId`. The list is kept in memcached, which may evict it like any item.
   *
   * @throws MemcacheOptionError without that option.
   */
  async sessionsOf(userId: string | number): Promise<StoredSession[]> {
    const name = this.#indexName(userId)
    const sessions: StoredSession[] = []
    const gone = new Set<string>()
    for (const id of await this.#sessions.index.idsOf(name)) {
      const found = await this.#sessions.read(id)
      const nowMs = Date.now()
      if (found === undefined || this.#hasEnded(found.data, nowMs)) {
        // What cannot be opened here is not in the way of those who can.
        if (found !== undefined || (await this.#sessions.isGone(id))) gone.add(id)
        continue
      }
      const { data } = found
      this.#lifetime.restore(data, found.ttlSeconds, nowMs)
      // A session that has changed hands is noted with its new user.
      if (this.#userOf(data) === name) sessions.push({ ...(data as StoredData), id })
      else gone.add(id)
    }
    if (gone.size > 0) await this.#sessions.index.forget(name, gone)
    return sessions
  }

  /** Ends the sessions of one user, all but one where `except` is its id: "log out everywhere else". Returns how many. */
  async destroySessionsOf(userId: string | number, { except }: { except?: string | undefined } = {}): Promise<number> {
    const name = this.#indexName(userId)
    const ended = new Set<string>()
    // A session may be given a new id meanwhile, under which it is in the list before its old id is destroyed.
    for (let look = 0; look < MAX_LOOKS; look++) {
      const ids = (await this.sessionsOf(userId)).map(({ id }) => id).filter((id) => id !== except && !ended.has(id))
      if (ids.length === 0) break
      await Promise.all(ids.map(async (id) => this.#destroy(id)))
      for (const id of ids) ended.add(id)
    }
    if (ended.size > 0) await this.#sessions.index.remove(name, ended)
    return ended.size
  }

  /**
   * Waits for the right to change a session alone, among all that ask for it in this way.
   *
   * @throws MemcacheServerError if others have it for longer than `waitMs`.
   */
  async lock(id: string, options: LockOptions = {}): Promise<SessionLock> {
    const { waitMs = DEFAULT_LOCK.waitMs, leaseSeconds = DEFAULT_LOCK.leaseSeconds } = options
    if (!(waitMs >= 0)) throw new MemcacheOptionError(`waitMs must be a number from 0 on, got ${waitMs}`)
    const release = await this.#sessions.locks.take(id, {
      waitMs,
      leaseSeconds: ttlToSeconds(leaseSeconds, 'leaseSeconds'),
    })
    return { release, [Symbol.asyncDispose]: release }
  }

  /** Has a session take the place of another one: it is as old, and has to be stored before the other one is retired. */
  replace(previous: Session, by: Session): ReplacedSession {
    const { id } = previous
    const createdMs = this.#heldOf(previous)?.createdMs ?? this.#createdMs.get(previous)
    if (createdMs !== undefined) this.#createdMs.set(by, createdMs)
    // Its nested objects are those of the new session.
    const data = JSON.parse(toJson(this.#toStored(id, previous, Date.now()))) as SessionData
    const tombstone = newTombstone()
    let base: SessionSnapshot | undefined
    let latest: SessionText | undefined
    return new ReplacedSession(id, by, {
      retire: async () => {
        // Another new id may have been on its way when this one was wanted.
        const read = (base = this.#heldAs(id, previous)?.snapshot)
        if (read === undefined) return this.#destroyUnread(id)
        let own = this.#heldAs(by.id, by)?.snapshot
        const handOver = async (now: SessionText): Promise<void> => {
          latest = now
          if (own !== undefined) own = await this.#takeOver(by, own, { base: read, now })
        }
        return this.#sessions.retire(id, read, { tombstone, handOver })
      },
      revive: async (successor) => {
        if (base === undefined) return
        const nowMs = Date.now()
        const merged = this.#sessions.merged(base, data, latest ?? base.stored)
        const left = this.#ttlOf(merged, nowMs)
        if (left === undefined) return
        // "Log out everywhere" finds it before it is back.
        await this.#noteUser(id, merged, undefined)
        if (!(await this.#sessions.revive(base, merged, { tombstone, ttl: left }))) return
        if (await this.#sessions.isGone(successor.id)) await this.#destroy(id)
      },
      save: () => this.#write(id, previous),
      destroy: () => this.#destroy(id),
    })
  }

  async #destroyUnread(id: string): Promise<Retirement> {
    try {
      await this.#destroy(id)
      return { outcome: 'retired' }
    } catch (error) {
      return { outcome: 'unknown', error }
    }
  }

  /** What touching a session comes down to: a round trip less than one would think, most of the time. */
  #touchKind(id: string, session: object): TouchKind {
    const held = this.#heldAs(id, session)
    // express-session compares sessions without their cookies, so that "remember me" alone comes as a touch.
    if (held === undefined || cookieChanged(held.cookie, (session as { cookie?: unknown }).cookie)) return 'write'
    const nowMs = Date.now()
    const seconds = this.#lifetime.secondsOf(session, nowMs)
    if (seconds === 0) return 'write'
    if (held.ttlSet === ttl(seconds)) return 'nothing'
    // Where the server does not tell how long it still lives, it may be any time.
    // A session may live shorter than the others: its user stays logged in while active all the same.
    const touchAfterSeconds = Math.min(this.#touchAfterSeconds, seconds / 2)
    const isRecent = Number.isFinite(held.leftSeconds) && seconds - held.leftSeconds < touchAfterSeconds
    return isRecent ? 'nothing' : 'renewal'
  }

  async #read(id: string): Promise<StoredData | undefined> {
    this.#watch()
    const found = await this.#sessions.read(id, this.#touchesOnRead ? this.#usualTtl : undefined)
    if (found === undefined) return undefined
    const nowMs = Date.now()
    const { data } = found
    // Its item may live a little longer than its cookie, which is what counts.
    if (!isSession(data) || this.#hasEnded(data, nowMs)) return undefined
    const seconds = this.#lifetime.secondsOf(data, nowMs)
    let ttlSet = found.touched ? this.#usualTtl : undefined
    if (ttlSet !== undefined && seconds > this.#lifetime.usualSeconds) {
      // It lives longer than is usual here, so reading has shortened its life: not again.
      this.#touchesOnRead = false
      ttlSet = ttl(seconds)
      await this.#sessions.touch(found, ttlSet)
    }
    // The text of what is stored keeps the cookie as it is there.
    const cookie: StoredCookie = { ...(data['cookie'] as StoredCookie | undefined) }
    const { createdMs } = cookie
    if (createdMs !== undefined) delete cookie.createdMs
    const leftSeconds = typeof cookie.expires === 'string' ? seconds : found.ttlSeconds
    const isRenewed = ttlSet !== undefined && typeof cookie.expires !== 'string' && ttlSet === ttl(seconds)
    const held = { store: this, id, snapshot: found, cookie, ttlSet, leftSeconds, createdMs, isRenewed }
    new HeldSession(held).holdFor(data)
    if (data['cookie'] !== undefined) data['cookie'] = { ...cookie }
    this.#lifetime.restore(data, found.touched ? this.#lifetime.usualSeconds : found.ttlSeconds, nowMs)
    return data as StoredData
  }

  /** A session as it is stored, with the time when it was begun. */
  #toStored(id: string, session: object, nowMs: number): Record<string, unknown> {
    const stored = this.#lifetime.toStored(session, nowMs)
    if (this.#maxLifetimeSeconds === Infinity) return stored
    const createdMs = this.#heldAs(id, session)?.createdMs ?? this.#createdMs.get(session) ?? nowMs
    stored['cookie'] = { ...(stored['cookie'] as object), createdMs }
    this.#createdMs.set(session, createdMs)
    return stored
  }

  #write(id: string, session: object): Promise<void> {
    this.#watch()
    const nowMs = Date.now()
    const stored = this.#toStored(id, session, nowMs)
    if (this.#lifetime.secondsOf(stored, nowMs) > this.#lifetime.usualSeconds) this.#touchesOnRead = false
    const earlier = this.#writing.get(session)
    const writing =
      earlier === undefined
        ? this.#store(id, session, stored, nowMs)
        : // As it is now: its request may change it before its turn comes.
          this.#storeAfter(earlier, id, session, JSON.parse(JSON.stringify(stored)) as Record<string, unknown>)
    this.#writing.set(session, writing)
    const settle = (): void => {
      if (this.#writing.get(session) === writing) this.#writing.delete(session)
    }
    writing.then(settle, settle)
    return writing
  }

  // oxlint-disable-next-line max-params -- as `#store`, after another
  async #storeAfter(
    earlier: Promise<void>,
    id: string,
    session: object,
    stored: Record<string, unknown>,
  ): Promise<void> {
    await earlier.catch(() => {})
    await this.#store(id, session, stored, Date.now())
  }

  // oxlint-disable-next-line max-params -- a session, as it is and as it is stored
  async #store(id: string, session: object, stored: Record<string, unknown>, nowMs: number): Promise<void> {
    const held = this.#heldAs(id, session)
    // Of what was merged: another request may have changed how long the session lives.
    const ttlOf = (merged: Record<string, unknown>): Ttl | undefined => this.#ttlOf(merged, nowMs)
    if (this.#userId !== undefined) await this.#noteUser(id, stored, held)
    const written = await this.#sessions.write(id, stored, held?.snapshot, ttlOf)
    if (written !== undefined) this.#hold(id, session, written, stored, this.#lifetime.ttlOf(stored, nowMs))
  }

  /**
   * Merges into a session what others have written into the one whose place it takes.
   *
   * @param own what is stored of it.
   * @param previous the other one, as it was read and as it is now.
   * @returns what is stored then.
   */
  async #takeOver(
    session: Session,
    own: SessionSnapshot,
    { base, now }: { base: SessionSnapshot; now: SessionText },
  ): Promise<SessionSnapshot | undefined> {
    const { id } = session
    const nowMs = Date.now()
    const stored = this.#toStored(id, session, nowMs)
    const merged = this.#sessions.merged(base, stored, now)
    if (this.#userId !== undefined) await this.#noteUser(id, merged, this.#heldAs(id, session))
    const written = await this.#sessions.write(id, merged, own, (data) => this.#ttlOf(data, nowMs))
    if (written === undefined) return undefined
    // Its request has not seen what was merged.
    const seen = SessionText.ofJson(JSON.stringify(stored))
    this.#hold(id, session, { ...written, seen }, stored, this.#lifetime.ttlOf(stored, nowMs))
    return written
  }

  /** Notes whose session it is before it is stored: one that is not in the list could not be ended from elsewhere. */
  async #noteUser(id: string, stored: Record<string, unknown>, held: HeldSession | undefined): Promise<void> {
    const name = this.#userOf(stored)
    if (name === undefined) return
    const before = held === undefined ? undefined : this.#userOf(JSON.parse(held.snapshot.seen.whole) as SessionData)
    if (before !== name) await this.#sessions.index.add(name, id)
  }

  #userOf(data: SessionData): string | undefined {
    const userId = this.#userId?.(data as StoredData)
    return userId === undefined || userId === null || userId === '' ? undefined : String(userId)
  }

  #indexName(userId: string | number): string {
    if (this.#userId !== undefined) return String(userId)
    throw new MemcacheOptionError(
      'sessions are found by their user only with the option userId: (session) => session.userId',
    )
  }

  #hasEnded(data: Record<string, unknown>, nowMs: number): boolean {
    return this.#lifetime.secondsOf(data, nowMs) === 0 || this.#leftOfMaxSeconds(data, nowMs) <= 0
  }

  #ttlOf(stored: Record<string, unknown>, nowMs: number): Ttl | undefined {
    const seconds = Math.min(this.#lifetime.secondsOf(stored, nowMs), this.#leftOfMaxSeconds(stored, nowMs))
    return seconds > 0 ? ttl(seconds) : undefined
  }

  #leftOfMaxSeconds({ cookie }: Record<string, unknown>, nowMs: number): number {
    const createdMs = (cookie as { createdMs?: unknown } | undefined)?.createdMs
    if (this.#maxLifetimeSeconds === Infinity || typeof createdMs !== 'number') return Infinity
    return Math.ceil((createdMs - nowMs) / 1000 + this.#maxLifetimeSeconds)
  }

  async #touch(id: string, session: object): Promise<void> {
    this.#watch()
    const held = this.#heldAs(id, session)
    if (held === undefined) return this.#touchStranger(id, session)
    if (this.#touchKind(id, session) === 'write') return this.#write(id, session)
    const { snapshot } = held
    const nowMs = Date.now()
    const stored = this.#lifetime.toStored(session, nowMs)
    const ttlSet = this.#lifetime.ttlOf(stored, nowMs)!
    if (held.createdMs !== undefined) {
      stored['cookie'] = { ...(stored['cookie'] as object), createdMs: held.createdMs }
    }
    const endsByItself = (stored['cookie'] as { expires?: unknown }).expires
    if (typeof endsByItself !== 'string' && !(endsByItself instanceof Date)) {
      await this.#sessions.touch(snapshot, ttlSet)
      return
    }
    // Its end is in its value. Whoever has written it meanwhile has written that too.
    const written = snapshot.seen === snapshot.stored ? await this.#sessions.renew(stored, snapshot, ttlSet) : undefined
    if (written !== undefined) this.#hold(id, session, written, stored, ttlSet)
  }

  /** Touches a session that was not read here; express-session never does that. */
  async #touchStranger(id: string, session: object): Promise<void> {
    const { cookie } = session as { cookie?: unknown }
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
      if (!isSession(data) || this.#hasEnded(data, nowMs)) continue
      this.#lifetime.restore(data, Infinity, nowMs)
      sessions.push({ ...(data as StoredData), id })
    }
    return sessions
  }

  /**
   * Remembers the stored state of a session after a write. Plain objects, which express-session never passes, are
   * stored unconditionally each time.
   */
  #hold(
    id: string,
    session: object,
    snapshot: SessionSnapshot,
    stored: Record<string, unknown>,
    ttlSet: Ttl | undefined,
  ): void {
    if (typeof (session as Partial<Session>).save !== 'function') return
    const { createdMs, ...cookie } = (stored['cookie'] ?? {}) as { createdMs?: number }
    const held = { store: this, id, snapshot, cookie, ttlSet, leftSeconds: Infinity, createdMs, isRenewed: false }
    new HeldSession(held).holdFor(session)
  }

  #heldAs(id: string, session: object): HeldSession | undefined {
    const held = this.#heldOf(session)
    return held?.id === id ? held : undefined
  }

  #heldOf(session: object): HeldSession | undefined {
    const held = HeldSession.of(session)
    return held?.store === this ? held : undefined
  }

  /** The default cache is not opened before it is used. */
  #watch(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    engineOf(this.#sessions.cache).host.health.watch({
      away: () => this.emit('disconnect'),
      back: () => this.emit('connect'),
    })
  }
}

interface StoredCookie {
  createdMs?: number
  expires?: unknown
}
