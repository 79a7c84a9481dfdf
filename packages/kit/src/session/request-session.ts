import { MemcacheOptionError } from 'memcache-ts-protocol'
import { attended } from './attended-promise.ts'
import { clearedCookie, idCookie, readId } from './id-cookie.ts'
import type { Secret } from './id-cookie.ts'
import { HeldSession } from './held-session.ts'
import { MemcacheStore } from './memcache-store.ts'
import { RequestLocks } from './request-locks.ts'
import { clientOf } from './session-client.ts'
import { SessionRotations } from './session-rotation.ts'
import { isSecure, newCookie, warnOfInsecureConnection } from './session-cookie.ts'
import type { SessionedRequest } from './session-cookie.ts'
import type { SessionSettings } from './session-options.ts'
import { exposeSession, inflate, isError, loadInto, promised, Session, setActions, withoutStore } from './session.ts'
import type {
  AnyStore,
  Callback,
  LockOptions,
  SessionActions,
  SessionHolder,
  SessionLock,
  StoredData,
} from './session.ts'
import { textOf } from './session-codec.ts'
import { always, explained, never, NO_CALLER, PendingWrites, STEPS } from './session-writes.ts'
import type { WriteCaller, WriteKind } from './session-writes.ts'

/**
 * The session of one request, from its cookie to the last write, in any framework. It decides what to store and which
 * cookie to send by express-session's rules. The session object is created when the application first reads it; a
 * request that does not read it writes nothing, unless the lifetime has to be renewed.
 */
export class RequestSession implements SessionActions {
  readonly holder: SessionHolder
  readonly #settings: SessionSettings
  readonly #secrets: readonly Secret[]
  // Separate fields, and not the object that was passed: V8 would keep this object, and the request with it, until it
  // collects old objects.
  readonly #carrier: SessionedRequest['carrier']
  readonly #request: unknown
  readonly #connection: SessionedRequest['connection']
  readonly #cookieId: string | undefined
  #isExposed = false
  /** The stored data, until the application first reads the session. */
  #data: StoredData | undefined
  #session: Session | null | undefined
  #originalId: string | undefined
  #originalText: string | undefined
  #savedText: string | undefined
  /** The session as JSON when it was last checked for changes. */
  #endText: string | undefined
  #isTouched = false
  #isSavingAtEnd = false
  /** Whether the session was saved by `commit`. */
  #isSaved = false
  #isDestroyed = false
  #isDestroyFailed = false
  #hasFailed = false
  /** The session that this request has successfully stored under another id than that of its cookie. */
  #stored: Session | undefined
  /** Whether it is too late to send another cookie: the head of the response was written. */
  #isCookieDecided = false
  #writes: PendingWrites | undefined
  #locks: RequestLocks | undefined
  #rotations: SessionRotations | undefined

  constructor(settings: SessionSettings, secrets: readonly Secret[], sessioned: SessionedRequest) {
    const { carrier, request, holder, connection } = sessioned
    this.#settings = settings
    this.#secrets = secrets
    this.#carrier = carrier
    this.#request = request
    this.#connection = connection
    this.holder = holder
    setActions(holder, this)
    holder.sessionStore = settings.store
    holder.sessionID = this.#cookieId = readId(carrier, settings, secrets)
  }

  /** The session; it is created from the stored data at the first access. `undefined` after it was destroyed. */
  get session(): Session | null | undefined {
    if (this.#data !== undefined) this.#materialize(this.#data)
    return this.#session
  }

  set session(session: Session | null | undefined) {
    this.#data = undefined
    this.#session = session
  }

  get givesPromises(): boolean {
    return this.#settings.givesPromises && !this.#isSavingAtEnd
  }

  promiseOf(start: (callback: Callback, isAttended: () => boolean) => void): Promise<void> {
    return attended(start)
  }

  /**
   * Reads the session, or creates one.
   *
   * @param done called with an error if the session is unavailable.
   */
  open(done: (error?: unknown) => void): void {
    const id = this.#cookieId
    if (id === undefined) {
      this.generate()
      done()
    } else this.#settings.store.get(id, (error, data) => this.#opened(error, data, done))
  }

  /** Gives the request a new session. */
  generate(): void {
    const { genid } = this.#settings
    const { holder } = this
    holder.sessionID = genid(this.#request)
    const session = new Session(holder)
    session.cookie = newCookie(this.#settings, this.#request, this.#carrier)
    this.#expose()
    this.session = session
    this.#originalId = holder.sessionID
    this.#originalText = textOf(session)
  }

  save(session: Session, callback: Callback | undefined, isAttended: () => boolean = always): void {
    this.#savedText = this.#isSavingAtEnd && this.#endText !== undefined ? this.#endText : textOf(session)
    const save = (done: Callback): void =>
      this.holder.sessionStore!.set(session.id, session, (error) => {
        if (!isError(error) && session.id !== this.#cookieId) this.#stored = session
        done(error)
      })
    this.#write('save', save, { callback, isAttended })
  }

  destroy(session: Session, callback: Callback | undefined, isAttended: () => boolean = always): void {
    const { holder } = this
    this.session = undefined
    // The property is deleted, as by express-session. An object in place of the request must keep the property, or it
    // would inherit another session.
    if (holder === this.#carrier) {
      delete holder.session
      this.#isExposed = false
    }
    this.#isDestroyed = true
    this.#afterWrites(() => this.#write('destroy', this.#destroyer(session), { callback, isAttended }))
  }

  reload(session: Session, callback: Callback): void {
    const { holder } = this
    loadInto(holder, session.id, (cause) => {
      const error = explained(this.#settings, cause, 'read')
      if (!isError(error)) {
        const loaded = holder.session
        this.#expose()
        this.session = loaded
        this.#remember(undefined)
      }
      callback(error)
    })
  }

  regenerate(session: Session, callback: Callback, isAttended: () => boolean = always): void {
    const begin = (error: unknown): void => {
      this.generate()
      this.#savedText = undefined
      callback(error)
    }
    this.#afterWrites(() => this.#write('destroy', this.#destroyer(session), { callback: begin, isAttended }))
  }

  rotate(session: Session, callback: Callback, isAttended: () => boolean = always): void {
    const problem = this.#whyNoCookie(session)
    if (problem !== undefined) {
      callback(new MemcacheOptionError(`regenerate({ keep: true }) cannot give the session a new id: ${problem}`))
      return
    }
    const rotation = (this.#rotations ??= this.#newRotations()).rotate(session)
    this.#write('destroy', (done) => void rotation.then(() => done(), done), { callback, isAttended })
  }

  async lock(session: Session, options: LockOptions | undefined): Promise<SessionLock> {
    const store = this.#memcacheStore
    if (store === undefined) throw new TypeError('only sessions in a MemcacheStore can be locked')
    const { id } = session
    this.#locks ??= new RequestLocks(() => this.#saveNow())
    return this.#locks.take(id, {
      acquire: () =>
        store.lock(id, options).catch((error: unknown) => {
          throw explained(this.#settings, error, 'locked')
        }),
      // Other requests do not know a session that was not stored yet.
      reload: () =>
        id !== this.#cookieId && this.#savedText === undefined
          ? Promise.resolve()
          : promised((done) => this.reload(session, done)),
    })
  }

  /**
   * Starts the write that the session needs.
   *
   * @param at whether the response has ended, or only its head is written.
   */
  commit(at: 'head' | 'end'): void {
    if (this.#isUntouched()) return
    const isEnd = at === 'end'
    const { holder } = this
    const { store, unsetDestroys } = this.#settings
    const session = this.#current
    // After `abandon` there is no id.
    const isAsSent = this.#cookieId !== undefined && this.#cookieId === holder.sessionID
    // The cookie may have changed since the application saved the session, which express-session does not store.
    const isKept = isAsSent || (this.isStored && this.#memcacheStore !== undefined)
    if (session === undefined || session === null) {
      if (isEnd && unsetDestroys && !this.#isDestroyed && typeof holder.sessionID === 'string') {
        const id = holder.sessionID
        this.#isDestroyed = true
        this.#stored = undefined
        this.#write('destroy', (done) => this.#destroyIn(store, id, done), NO_CALLER)
      }
      return
    }
    this.#touch(session)
    if (this.#shouldSave(session)) {
      // Calls the session's own method, which the application may have wrapped.
      this.#isSavingAtEnd = true
      this.#isSaved = true
      try {
        ;(session['save'] as (callback?: Callback) => void)()
      } finally {
        this.#isSavingAtEnd = false
      }
    } else if (isEnd && !this.#isSaved && store.touch !== undefined && isKept) {
      this.#write('renewal', (done) => store.touch!(session.id, session, done), NO_CALLER)
    }
  }

  /** Whether the response has to wait for writes or locks. */
  get isPending(): boolean {
    return (this.#writes !== undefined && this.#writes.size > 0) || (this.#locks !== undefined && this.#locks.size > 0)
  }

  /**
   * Waits for the writes that have been started, then releases the locks.
   *
   * @param onFailure called for each failed write; if it throws, the promise rejects with that error.
   */
  settle(onFailure: (error: unknown, kind: WriteKind) => void): Promise<unknown> {
    const work = this.settleWrites(onFailure)
    return this.#locks === undefined || this.#locks.size === 0 ? work : this.#locks.releaseAfter(work)
  }

  /** Like `settle`, for a request whose handler may still hold locks. */
  settleWrites(onFailure: (error: unknown, kind: WriteKind) => void): Promise<unknown> {
    return this.#writes === undefined ? Promise.resolve() : this.#writes.settle(onFailure)
  }

  /**
   * Returns the `Set-Cookie` field that the response needs; `undefined` if it needs none.
   *
   * @throws TypeError if an attribute is invalid.
   */
  cookieToSend(): string | undefined {
    const { holder } = this
    const { name, rolling } = this.#settings
    this.#isCookieDecided = true
    if (!rolling && this.#isUntouched()) return undefined
    const session = this.#current
    if (session === undefined || session === null) {
      // The cookie of a session that could not be destroyed stays, so that the user can try again.
      const isCleared = this.#isDestroyed && !this.#isDestroyFailed && this.#cookieId !== undefined
      return isCleared ? clearedCookie(name, newCookie(this.#settings, this.#request, this.#carrier).data) : undefined
    }
    if (!this.#shouldSetCookie(session)) return undefined
    if (!this.#canSend(session)) {
      warnOfInsecureConnection(this.#carrier)
      return undefined
    }
    this.#touch(session)
    return idCookie(name, { id: holder.sessionID!, secret: this.#secrets[0]! }, session.cookie.data)
  }

  /**
   * Stops storing the session, because its response has failed.
   *
   * @returns the `Set-Cookie` field that the error response still needs: if the session was stored under a new id, the
   *   old one may be gone.
   */
  abandon(): string | undefined {
    this.holder.sessionID = undefined
    const stored = this.#stored
    if (stored === undefined || !this.#canSend(stored)) return undefined
    try {
      return idCookie(this.#settings.name, { id: stored.id, secret: this.#secrets[0]! }, stored.cookie.data)
    } catch {
      // An attribute of the cookie is invalid.
      return undefined
    }
  }

  /** Declares that the response cannot carry a cookie, so that the session is not given a new id. */
  denyCookie(): void {
    this.#isCookieDecided = true
  }

  /** The session that was stored under another id than that of the request's cookie; `undefined` if none was. */
  get storedSession(): Session | undefined {
    return this.#stored
  }

  /** Whether the session is stored under its current new id, although its last save may have failed. */
  get isStored(): boolean {
    return this.#stored !== undefined && this.#stored.id === this.holder.sessionID
  }

  get #memcacheStore(): MemcacheStore | undefined {
    const { sessionStore } = this.holder
    return sessionStore instanceof MemcacheStore ? sessionStore : undefined
  }

  /** The session as the application has left it: it may have deleted or replaced the property. */
  get #current(): Session | null | undefined {
    return this.holder.session
  }

  #newRotations(): SessionRotations {
    return new SessionRotations({
      request: this,
      cookieId: this.#cookieId,
      store: this.#memcacheStore,
      client: clientOf(this.#connection, () => this.#isCookieDecided),
      begin: () => {
        const before = [this.#originalId, this.#originalText, this.#savedText, this.#hasFailed, this.#stored] as const
        this.generate()
        return () => {
          ;[this.#originalId, this.#originalText, this.#savedText, this.#hasFailed, this.#stored] = before
        }
      },
      // The session is stored under an id that the client does not know: the cookie has to be sent in any case.
      expectCookie: (session) => {
        this.#savedText = textOf(session)
      },
      earlierWrites: () => (this.#writes === undefined || this.#writes.size === 0 ? undefined : this.#writes.earlier()),
    })
  }

  /** Returns why a cookie with a new id would not reach the client; `undefined` if it will. */
  #whyNoCookie(session: Session): string | undefined {
    if (this.#cookieId === undefined) return undefined
    if (this.#isCookieDecided) return 'the head of the response was already sent, so call it earlier'
    return this.#canSend(session)
      ? undefined
      : "its cookie is Secure, and the connection is not known to use TLS; behind a proxy, set the framework's trust proxy or the option proxy: true"
  }

  /** Returns whether the cookie of a session may be sent over this connection. */
  #canSend({ cookie }: Session): boolean {
    return cookie.secure !== true || isSecure(this.#carrier, this.#settings.proxy)
  }

  #destroyer(session: Session): (done: Callback) => void {
    if (this.#stored?.id === session.id) this.#stored = undefined
    return (done) =>
      this.#destroyIn(this.holder.sessionStore!, session.id, (error) => {
        this.#isDestroyFailed = isError(error)
        done(error)
      })
  }

  /** Destroys a session, and the session that it has replaced if that was restored. */
  #destroyIn(store: AnyStore, id: string, done: Callback): void {
    const replaced = this.#rotations?.end()
    if (replaced === undefined) return store.destroy(id, done)
    Promise.all([promised((destroyed) => store.destroy(id, destroyed)), replaced]).then(() => done(), done)
  }

  async #saveNow(): Promise<void> {
    const session = this.#current
    if (session === undefined || session === null || !this.#shouldSave(session)) return
    await promised((done) => this.save(session, done))
  }

  #opened(error: unknown, data: StoredData | null | undefined, done: (error?: unknown) => void): void {
    const { down } = this.#settings
    if (isError(error) && (error as { code?: unknown }).code !== 'ENOENT') {
      if (down === undefined) return done(error)
      if (!down.isForgivenRead(error)) return done(down.explain(error, 'read'))
      if (down.makesAnonymous) {
        this.generate()
        withoutStore(this.session!, error)
      }
      // A session without an id is neither stored nor sent as a cookie.
      this.holder.sessionID = undefined
      return done()
    }
    try {
      if (isError(error) || data === undefined || data === null || this.#lacksCookie(data)) this.generate()
      else {
        this.#data = data
        this.#expose()
        // Another store may return data that is no session: that has to fail now, not at the first access.
        if (this.#memcacheStore?.createSession !== MemcacheStore.prototype.createSession) this.#materialize(data)
      }
    } catch (problem) {
      return done(problem)
    }
    done()
  }

  /**
   * Returns whether data has no cookie, so that another program must have stored it. With another kind of store that is
   * an error, as in express-session.
   */
  #lacksCookie(data: StoredData): boolean {
    return data.cookie === undefined && this.#memcacheStore !== undefined
  }

  #expose(): void {
    if (this.#isExposed && 'session' in this.holder) return
    this.#isExposed = true
    exposeSession(this.holder)
  }

  #materialize(data: StoredData): void {
    this.#data = undefined
    const text = HeldSession.of(data)?.snapshot.seen.withoutCookie
    inflate(this.holder, data)
    this.#remember(text)
  }

  /**
   * Remembers the session before the application changes it.
   *
   * @param text its data as JSON, if that is known.
   */
  #remember(text: string | undefined): void {
    const session = this.#session!
    this.#originalId = this.holder.sessionID
    this.#originalText = text !== undefined && Session.isWhole(session) ? text : textOf(session)
    if (!this.#settings.resave) this.#savedText = this.#originalText
  }

  /** Returns whether the application has not read the session, and its lifetime needs no renewal. */
  #isUntouched(): boolean {
    const data = this.#data
    if (data === undefined || this.#settings.resave || this.#cookieId !== this.holder.sessionID) return false
    return 'session' in this.holder && HeldSession.of(data)?.isRenewed === true
  }

  /** Starts a write that the response waits for. */
  #write(kind: WriteKind, start: (done: Callback) => void, { callback, isAttended }: WriteCaller): void {
    const writes = (this.#writes ??= new PendingWrites())
    writes.start({
      kind,
      start: (done) =>
        start((cause) => {
          if (kind === 'save') this.#hasFailed = isError(cause)
          done(explained(this.#settings, cause, STEPS[kind]))
        }),
      callback,
      isAttended: callback === undefined || this.#isSavingAtEnd ? never : isAttended,
    })
  }

  #afterWrites(step: () => void): void {
    if (this.#writes === undefined) step()
    else this.#writes.after(step)
  }

  #touch(session: Session): void {
    if (this.#isTouched) return
    this.#isTouched = true
    ;(session['touch'] as () => void)()
  }

  #shouldSave(session: Session): boolean {
    const { sessionID } = this.holder
    if (typeof sessionID !== 'string') return false
    const text = (this.#endText = textOf(session))
    return !this.#settings.saveUninitialized && this.#savedText === undefined && this.#cookieId !== sessionID
      ? this.#originalId !== session.id || this.#originalText !== text
      : !(this.#originalId === session.id && this.#savedText === text)
  }

  #shouldSetCookie(session: Session): boolean {
    const { sessionID } = this.holder
    if (typeof sessionID !== 'string' || (this.#hasFailed && !this.isStored)) return false
    const { saveUninitialized, rolling } = this.#settings
    // Without the cookie, the client would lose a session that was stored under another id than its own.
    const isStoredUnderNewId = this.#savedText !== undefined && this.#originalId !== this.#cookieId
    return this.#cookieId !== sessionID
      ? saveUninitialized || isStoredUnderNewId || this.#isModified(session)
      : rolling ||
          (session.cookie.expires !== null && session.cookie.expires !== undefined && this.#isModified(session))
  }

  #isModified(session: Session): boolean {
    return this.#originalId !== session.id || this.#originalText !== textOf(session)
  }
}
