// oxlint-disable typescript/no-misused-promises -- the methods of express-session's Store take callbacks; without a callback they return a promise
import { checkOptions, MemcacheOptionError, textOption } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { engineOf } from '../engine/engine.ts'
import { HeldSession } from './held-session.ts'
import type { WrittenState } from './held-session.ts'
import { ReplacedSession } from './replaced-session.ts'
import { newTombstone, SessionText, toJson } from './session-codec.ts'
import { cookieChanged } from './session-cookie.ts'
import { isSession, SessionLifetime, ttl } from './session-lifetime.ts'
import type { StoredCookie } from './session-lifetime.ts'
import { differsAsJson } from './session-merge.ts'
import type { SessionData } from './session-merge.ts'
import { SessionRepository } from './session-repository.ts'
import { inBatches } from './session-index.ts'
import { toLockTimes } from './session-locks.ts'
import type { Retirement, SessionSnapshot } from './session-item.ts'
import { resolveStoreOptions } from './store-options.ts'
import type { MemcacheStoreOptions } from './store-options.ts'
import type { Callback, LockOptions, Session, SessionHolder, SessionLock, StoredData } from './session.ts'
import { settle, Store } from './store.ts'

/** A session with its id, as `all` returns it. */
export type StoredSession = StoredData & { id: string }

/** The work that a touch requires. */
type TouchKind = 'nothing' | 'renewal' | 'write'

/** The maximum number of times that `destroySessionsOf` searches for further sessions. */
const MAX_LOOKS = 16

/**
 * Stores sessions in memcached, for `memcacheSession` and express-session. No write is lost: each is merged, by path,
 * with the writes of parallel requests. A destroyed session stays destroyed. A request that only reads takes one round
 * trip. Every method takes a callback or returns a promise; if no caller waits for the promise, its rejection does not
 * crash the process. Emits `disconnect` when all servers have become unreachable, and `connect` when a server is
 * reachable again.
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
  /**
   * Whether reading a session resets its lifetime: only as long as no session with a longer lifetime than usual was
   * seen.
   */
  #touchesOnRead: boolean
  #isWatching = false
  /** The creation times of sessions that have not been written yet. */
  readonly #createdMs = new WeakMap<object, number>()
  /**
   * The pending writes by session. The next write of a session waits for the previous one, since it is merged with its
   * result.
   */
  readonly #writing = new Map<object, Promise<void>>()

  /** @throws MemcacheOptionError if an option is unknown or invalid. */
  constructor(options: MemcacheStoreOptions = {}) {
    super()
    const resolved = resolveStoreOptions(options)
    const { ttlSeconds, maxAgeMs, touchAfterSeconds, cache } = resolved
    this.#lifetime = new SessionLifetime(ttlSeconds, maxAgeMs, resolved.maxLifetimeSeconds)
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
      // A named option with the value undefined is passed on, so that it is refused.
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
    // A session that `onCacheDown: 'anonymous'` has created has no id.
    return settle(typeof id === 'string' ? this.#destroy(id) : Promise.resolve(), callback)
  }

  /**
   * Resets the lifetime of a session. If reading the session has already done that, there is no round trip, and the
   * callback is called synchronously.
   */
  touch(id: string, session: object): Promise<void>
  touch(id: string, session: object, callback: Callback | undefined): void
  touch(id: string, session: object, callback?: Callback): Promise<void> | void {
    if (this.#touchKind(id, session) !== 'nothing') return settle(this.#touch(id, session), callback)
    return callback === undefined ? Promise.resolve() : callback()
  }

  /**
   * Returns all sessions with their ids. It reads every session and may miss those that are created or destroyed
   * meanwhile, so it is meant for administration.
   */
  all(): Promise<StoredSession[]>
  all(callback: (error: unknown, sessions?: StoredSession[]) => void): void
  all(callback?: Callback<StoredSession[]>): Promise<StoredSession[]> | void {
    return settle(this.#all(), callback)
  }

  /**
   * Returns the ids of all sessions, with the limits of `all`. An id too long for a memcached key is returned as its
   * hash.
   */
  ids(): Promise<string[]>
  ids(callback: (error: unknown, ids?: string[]) => void): void
  ids(callback?: Callback<string[]>): Promise<string[]> | void {
    return settle(
      this.#all().then((sessions) => sessions.map(({ id }) => id)),
      callback,
    )
  }

  /** Returns the number of sessions, with the limits of `all`. */
  length(): Promise<number>
  length(callback: (error: unknown, length?: number) => void): void
  length(callback?: Callback<number>): Promise<number> | void {
    return settle(
      this.#all().then((sessions) => sessions.length),
      callback,
    )
  }

  /** Destroys all sessions for all processes at once, and no other items. */
  clear(): Promise<void>
  clear(callback: Callback | undefined): void
  clear(callback?: Callback): Promise<void> | void {
    return settle(this.#sessions.clear(), callback)
  }

  /** Creates the request's session and attaches the stored state that it was made from. */
  override createSession(request: SessionHolder, data: StoredData): Session {
    const held = HeldSession.of(data)
    // express-session would respond with an error for as long as another program's data is stored.
    data.cookie ??= {}
    const session = super.createSession(request, data)
    held?.holdFor(session)
    return session
  }

  /**
   * Returns the sessions of one user, found by the option `userId`; an empty list if there are none. The list is kept
   * in memcached, which may evict it like any item.
   *
   * @throws MemcacheOptionError if the option `userId` is not set.
   */
  async sessionsOf(userId: string | number): Promise<StoredSession[]> {
    const name = this.#indexName(userId)
    const sessions: StoredSession[] = []
    const gone = new Set<string>()
    const ids = await this.#sessions.index.idsOf(name)
    const reads = await inBatches(ids, (id) => this.#sessions.read(id))
    for (const [index, found] of reads.entries()) {
      const id = ids[index]!
      const nowMs = Date.now()
      if (found === undefined || this.#lifetime.hasEnded(found.data, nowMs)) {
        // A session that this process cannot decrypt may be readable by others: it stays in the list.
        if (found !== undefined || (await this.#sessions.isGone(id))) gone.add(id)
        continue
      }
      const { data } = found
      this.#lifetime.restore(data, found.ttlSeconds, nowMs)
      // A session whose user has changed is in the list of the new user.
      if (this.#userOf(data) === name) sessions.push({ ...(data as StoredData), id })
      else gone.add(id)
    }
    if (gone.size > 0) await this.#sessions.index.forget(name, gone)
    return sessions
  }

  /**
   * Destroys the sessions of one user, except the session with the id `except` ("log out everywhere else"). Returns the
   * number of destroyed sessions.
   */
  async destroySessionsOf(userId: string | number, options: { except?: string | undefined } = {}): Promise<number> {
    checkOptions('destroySessionsOf', options, { names: ['except'], hints: { keep: 'except', exclude: 'except' } })
    const { except } = options
    if (except !== undefined) textOption('except', except)
    const name = this.#indexName(userId)
    const ended = new Set<string>()
    // A session may get a new id meanwhile. The new id is in the list, and its session is stored, before the old
    // session is destroyed: if a search has missed the new id, the next search finds it.
    for (let look = 0, quiet = 0; look < MAX_LOOKS && quiet < 2; look++) {
      const ids = (await this.sessionsOf(userId)).map(({ id }) => id).filter((id) => id !== except && !ended.has(id))
      quiet = ids.length === 0 ? quiet + 1 : 0
      await inBatches(ids, (id) => this.#destroy(id))
      for (const id of ids) ended.add(id)
    }
    if (ended.size > 0) await this.#sessions.index.remove(name, ended)
    return ended.size
  }

  /**
   * Waits for the lock of a session. The lock is advisory: it excludes only callers that lock the session too.
   *
   * @throws MemcacheServerError if others hold the lock for longer than `waitMs`.
   */
  async lock(id: string, options: LockOptions = {}): Promise<SessionLock> {
    const release = await this.#sessions.locks.take(id, toLockTimes(options))
    return { release, [Symbol.asyncDispose]: release }
  }

  /** Replaces a session by another one, which gets its age and has to be stored before the old session is retired. */
  replace(previous: Session, by: Session): ReplacedSession {
    const { id } = previous
    const createdMs = this.#heldOf(previous)?.createdMs ?? this.#createdMs.get(previous)
    if (createdMs !== undefined) this.#createdMs.set(by, createdMs)
    // A copy: the new session has the same nested objects.
    const data = JSON.parse(toJson(this.#toStored(id, previous, Date.now()))) as SessionData
    const tombstone = newTombstone()
    let base: SessionSnapshot | undefined
    let latest: SessionText | undefined
    return new ReplacedSession(id, by, {
      retire: async () => {
        // Another new id may have been pending when this one was requested.
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
        const left = this.#lifetime.cappedTtlOf(merged, nowMs)
        if (left === undefined) return
        // "Log out everywhere" must find the session before it is restored.
        await this.#noteUser(id, merged, undefined)
        if (!(await this.#sessions.revive(base, merged, { tombstone, ttl: left }))) return
        if (await this.#sessions.isGone(successor.id)) await this.#destroy(id)
      },
      save: () => this.#write(id, previous),
      destroy: () => this.#destroy(id),
      destroySuccessor: (successor) => this.#destroy(successor.id),
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

  /** Returns the work that touching a session requires; usually none. */
  #touchKind(id: string, session: object): TouchKind {
    const held = this.#heldAs(id, session)
    // express-session compares sessions without their cookies, so a change of the cookie alone ("remember me") arrives
    // here as a touch.
    if (held === undefined || cookieChanged(held.cookie, (session as { cookie?: unknown }).cookie)) return 'write'
    const nowMs = Date.now()
    const seconds = this.#lifetime.secondsOf(session, nowMs)
    if (seconds === 0) return 'write'
    if (held.ttlSet === ttl(seconds)) return 'nothing'
    // A remaining lifetime that the server does not report may be short, so it is renewed.
    // A session may have a shorter lifetime than the others; an active user still stays logged in.
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
    // The item may live a little longer than the cookie; the cookie decides.
    if (!isSession(data) || this.#lifetime.hasEnded(data, nowMs)) return undefined
    const seconds = this.#lifetime.secondsOf(data, nowMs)
    let ttlSet = found.touched ? this.#usualTtl : undefined
    if (ttlSet !== undefined && seconds > this.#lifetime.usualSeconds) {
      // The session has a longer lifetime than usual, which the read has shortened: restore it, and stop touching on
      // read.
      this.#touchesOnRead = false
      ttlSet = ttl(seconds)
      await this.#sessions.touch(found, ttlSet)
    }
    // A copy: the snapshot keeps the cookie as it is stored.
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

  /** Returns a session as it is stored, with its creation time. */
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
    const store = (stored: SessionData, nowMs: number): Promise<void> => this.#store(id, session, { stored, nowMs })
    let writing: Promise<void>
    if (earlier === undefined) {
      writing = store(stored, nowMs)
    } else {
      // A copy of the current state: the request may change the session before this write starts.
      const copy = JSON.parse(JSON.stringify(stored)) as SessionData
      writing = earlier.catch(() => {}).then(() => store(copy, Date.now()))
    }
    this.#writing.set(session, writing)
    const settle = (): void => {
      if (this.#writing.get(session) === writing) this.#writing.delete(session)
    }
    writing.then(settle, settle)
    return writing
  }

  async #store(
    id: string,
    session: object,
    { stored, nowMs }: { readonly stored: SessionData; readonly nowMs: number },
  ): Promise<void> {
    const held = this.#heldAs(id, session)
    // Computed from the merged data: another request may have changed the lifetime.
    const ttlOf = (merged: Record<string, unknown>): Ttl | undefined => this.#lifetime.cappedTtlOf(merged, nowMs)
    if (this.#userId !== undefined) await this.#noteUser(id, stored, held)
    const written = await this.#sessions.write(id, stored, held?.snapshot, ttlOf)
    if (written === undefined) return
    this.#hold(id, session, { snapshot: written, stored, ttlSet: this.#lifetime.ttlOf(stored, nowMs) })
  }

  /**
   * Merges into a session what other requests have written into the session that it replaces.
   *
   * @param own the stored state of the replacement.
   * @param previous the replaced session, as it was read and as it is now.
   * @returns the new stored state; `undefined` if the session was destroyed meanwhile.
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
    const written = await this.#sessions.write(id, merged, own, (data) => this.#lifetime.cappedTtlOf(data, nowMs))
    if (written === undefined) return undefined
    // The request has not seen the merged data.
    const seen = SessionText.ofJson(JSON.stringify(stored))
    const ttlSet = this.#lifetime.ttlOf(stored, nowMs)
    this.#hold(id, session, { snapshot: { ...written, seen }, stored, ttlSet })
    return written
  }

  /**
   * Adds the session to the list of its user before it is stored: a session that is not in the list could not be
   * destroyed by `destroySessionsOf`.
   */
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
      'sessions cannot be found by user: set the option userId, such as (session) => session.userId',
    )
  }

  async #touch(id: string, session: object): Promise<void> {
    this.#watch()
    const held = this.#heldAs(id, session)
    if (held === undefined) return this.#touchUnread(id, session)
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
    // The stored value contains the time when the session expires. A request that has written the session meanwhile has
    // stored this time too.
    const written = snapshot.seen === snapshot.stored ? await this.#sessions.renew(stored, snapshot, ttlSet) : undefined
    if (written !== undefined) this.#hold(id, session, { snapshot: written, stored, ttlSet })
  }

  /** Touches a session that was not read by this store; express-session never does that. */
  async #touchUnread(id: string, session: object): Promise<void> {
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
      if (!isSession(data) || this.#lifetime.hasEnded(data, nowMs)) continue
      this.#lifetime.restore(data, Infinity, nowMs)
      sessions.push({ ...(data as StoredData), id })
    }
    return sessions
  }

  /**
   * Remembers the stored state of a session after a write. Plain objects, which express-session never passes, are
   * always stored unconditionally.
   */
  #hold(id: string, session: object, { snapshot, stored, ttlSet }: WrittenState): void {
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

  /** Listens for outages; called at the first use, so that the default cache is not opened earlier. */
  #watch(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    engineOf(this.#sessions.cache).host.health.watch({
      away: () => this.emit('disconnect'),
      back: () => this.emit('connect'),
    })
  }
}
