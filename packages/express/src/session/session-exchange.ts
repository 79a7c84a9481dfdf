import type { IncomingMessage, ServerResponse } from 'node:http'
import { deferResponse, withdrawField } from 'memcache-ts'
import type { CacheDown } from './cache-down.ts'
import { Cookie } from './cookie.ts'
import type { CookieData } from './cookie.ts'
import { clearedCookie, idCookie, readId } from './id-cookie.ts'
import type { CookieCarrier, Secret } from './id-cookie.ts'
import { MemcacheStore } from './memcache-store.ts'
import { isSecure } from './secure-connection.ts'
import { inflate, isError, loadInto, promised, Session, setActions } from './session.ts'
import type {
  AnyStore,
  Callback,
  LockOptions,
  SessionActions,
  SessionHolder,
  SessionLock,
  StoredData,
} from './session.ts'
import { textOf } from './session-text.ts'

/** A request with what middlewares have put on it. */
export type SessionRequest = IncomingMessage & CookieCarrier & SessionHolder & { originalUrl?: string; secret?: Secret }

/** What is written of a session: the loss of a renewed lifetime is none, a session that was not destroyed is a danger. */
export type WriteKind = 'save' | 'destroy' | 'renewal'

/** The options of the middleware, with their defaults. */
export interface SessionSettings {
  readonly name: string
  readonly secrets: readonly Secret[] | undefined
  readonly store: AnyStore
  readonly cookie: object | ((request: SessionRequest) => object)
  readonly genid: (request: SessionRequest) => string
  readonly proxy: boolean | undefined
  readonly resave: boolean
  readonly rolling: boolean
  readonly saveUninitialized: boolean
  readonly unsetDestroys: boolean
  /** What becomes of failed reads and writes; `undefined` where a store of another kind goes by express-session's rules. */
  readonly down: CacheDown | undefined
  /** Told once of a cookie that is not sent, since the connection is not known to be secure. */
  warnOfInsecure(request: SessionRequest): void
}

/** A write that is under way, or has failed without anybody being told. */
interface Write {
  readonly kind: WriteKind
  readonly outcome: Promise<void>
}

/**
 * The session of one request, from its cookie to the end of the response. What is decided when is express-session's: the cookie when the head
 * is written, the write when the response is ended. A head that is sent earlier, as that of a stream, has the session written before it.
 */
export class SessionExchange implements SessionActions {
  readonly #settings: SessionSettings
  readonly #secrets: readonly Secret[]
  readonly #request: SessionRequest
  readonly #holder: SessionHolder
  readonly #response: ServerResponse
  readonly #next: (error?: unknown) => void
  readonly #cookieId: string | undefined
  #originalId: string | undefined
  #originalText: string | undefined
  #savedText: string | undefined
  #isTouched = false
  #isSavingAtEnd = false
  /** The session was saved when the head was written. */
  #isSaved = false
  #isHeadWritten = false
  #isEnding = false
  #isDestroyed = false
  /** Nothing more is done for this response. */
  #isOver = false
  #hasFailed = false
  #sentCookie: string | undefined
  readonly #writes = new Set<Write>()
  readonly #locks = new Set<SessionLock>()

  /** @param holder where the session is put: the request, or what stands for it. */
  constructor(
    settings: SessionSettings,
    secrets: readonly Secret[],
    {
      request,
      response,
      next,
      holder,
    }: { request: SessionRequest; response: ServerResponse; next: (error?: unknown) => void; holder: SessionHolder },
  ) {
    this.#settings = settings
    this.#secrets = secrets
    this.#request = request
    this.#response = response
    this.#next = next
    this.#holder = holder
    holder.sessionStore = settings.store
    holder.sessionID = this.#cookieId = readId(request, settings.name, secrets)
    setActions(holder, this)
  }

  /** Reads the session, or makes one, and goes on with the request. */
  open(): void {
    this.#watchResponse()
    const id = this.#cookieId
    if (id === undefined) {
      this.generate()
      return this.#next()
    }
    this.#settings.store.get(id, (error, data) => this.#opened(error, data))
  }

  /** Gives the request a new session. */
  generate(): void {
    const { genid, cookie, proxy } = this.#settings
    const holder = this.#holder
    holder.sessionID = genid(this.#request)
    const session = new Session(holder)
    const options = typeof cookie === 'function' ? cookie(this.#request) : cookie
    session.cookie = new Cookie(options)
    const { secure, sameSite } = options as Partial<CookieData>
    if (secure === 'auto' || sameSite === 'auto') {
      const overTls = isSecure(this.#request, proxy)
      if (secure === 'auto') session.cookie.secure = overTls
      if (sameSite === 'auto') session.cookie.sameSite = overTls ? 'none' : 'lax'
    }
    holder.session = session
    this.#originalId = holder.sessionID
    this.#originalText = textOf(session)
  }

  save(session: Session, callback: Callback | undefined): void {
    this.#savedText = textOf(session)
    this.#write('save', (done) => this.#holder.sessionStore!.set(session.id, session, done), callback, true)
  }

  destroy(session: Session, callback: Callback | undefined): void {
    const holder = this.#holder
    delete holder.session
    // What stands for the request inherits from it: another session would be seen in the place of this one.
    if (holder !== this.#request) holder.session = undefined
    this.#isDestroyed = true
    const destroy = (done: Callback): void => holder.sessionStore!.destroy(session.id, done)
    this.#afterWrites(() => this.#write('destroy', destroy, callback, callback !== undefined))
  }

  reload(session: Session, callback: Callback): void {
    const holder = this.#holder
    loadInto(holder, session.id, (error) => {
      if (!isError(error)) this.#reloaded()
      callback(error)
    })
  }

  regenerate(session: Session, callback: Callback): void {
    const holder = this.#holder
    const destroy = (done: Callback): void => holder.sessionStore!.destroy(session.id, done)
    this.#afterWrites(() =>
      this.#write(
        'destroy',
        destroy,
        (error) => {
          this.generate()
          this.#savedText = undefined
          callback(error)
        },
        true,
      ),
    )
  }

  async rotate(session: Session): Promise<void> {
    const holder = this.#holder
    const { cookie, ...data } = session
    await promised((done) => this.regenerate(session, done))
    const rotated = holder.session!
    Object.assign(rotated, data)
    rotated.cookie = cookie
    memcacheStoreOf(holder)?.keepAge(rotated as never, session as never)
  }

  async lock(session: Session, options: LockOptions | undefined): Promise<SessionLock> {
    const store = memcacheStoreOf(this.#holder)
    if (store === undefined) throw new TypeError('only sessions in a MemcacheStore can be locked')
    const lock = await store.lock(session.id, options)
    this.#locks.add(lock)
    await promised((done) => this.reload(session, done)).catch(async (error: unknown) => {
      await lock.release()
      throw error
    })
    const release = async (): Promise<void> => {
      if (!this.#locks.delete(lock)) return
      try {
        await this.#saveNow()
      } finally {
        await lock.release()
      }
    }
    return { release, [Symbol.asyncDispose]: release }
  }

  async #saveNow(): Promise<void> {
    const { session } = this.#holder
    if (session === undefined || session === null || !this.#shouldSave()) return
    await promised((done) => this.save(session, done))
  }

  #opened(error: unknown, data: StoredData | null | undefined): void {
    const { down } = this.#settings
    if (isError(error) && (error as { code?: unknown }).code !== 'ENOENT') {
      if (down === undefined || !down.isForgivenRead(error)) {
        this.#isOver = true
        return this.#next(error)
      }
      if (down.makesAnonymous) {
        this.generate()
        withoutStore(this.#holder.session!, error)
      } else this.#isOver = true
      // What has no id is neither stored nor sent as a cookie.
      this.#holder.sessionID = undefined
      return this.#next()
    }
    try {
      if (isError(error) || data === undefined || data === null || this.#isOdd(data)) this.generate()
      else this.#inflate(data)
    } catch (problem) {
      this.#isOver = true
      return this.#next(problem)
    }
    this.#next()
  }

  /** What has no cookie was stored by somebody else. A store of another kind is told so by an error, as by express-session. */
  #isOdd(data: StoredData): boolean {
    return data.cookie === undefined && memcacheStoreOf(this.#holder) !== undefined
  }

  #inflate(data: StoredData): void {
    inflate(this.#holder, data)
    this.#reloaded()
  }

  #reloaded(): void {
    const holder = this.#holder
    this.#originalId = holder.sessionID
    this.#originalText = textOf(holder.session!)
    if (!this.#settings.resave) this.#savedText = this.#originalText
  }

  /** Sees when the head is written and when the response is ended, by methods of the response's own, as on-headers does. */
  #watchResponse(): void {
    // oxlint-disable-next-line typescript/no-this-alias -- the methods below are the response's
    const exchange = this
    const response = this.#response as unknown as Partial<Record<'writeHead' | 'end', AnyMethod>>
    const { writeHead, end } = response
    // The response of a WebSocket's handshake, as engine.io makes it, has neither.
    if (writeHead === undefined || end === undefined) return
    response.writeHead = function (...args) {
      exchange.#head(args)
      return writeHead.apply(this, args)
    }
    response.end = function (...args) {
      return exchange.#end() ? end.apply(this, args) : this
    }
  }

  #head(args: unknown[]): void {
    if (this.#isHeadWritten || this.#isOver) return
    this.#isHeadWritten = true
    // An error response is none of the session's business.
    if (!this.#isEnding) this.#attempt(() => this.#commit(false))
    this.#attempt(() => this.#setCookie(args))
  }

  /** Whether the response is ended as the caller wants; otherwise it is left to error handlers. */
  #end(): boolean {
    if (this.#isEnding || this.#isOver) return true
    this.#isEnding = true
    try {
      this.#commit(true)
    } catch (error) {
      this.#isOver = true
      if (this.#response.headersSent) throw error
      this.#next(error)
      return false
    }
    return true
  }

  /** Starts what has to be written of the session and holds the response until that is done. */
  #commit(isEnd: boolean): void {
    const holder = this.#holder
    const { store, unsetDestroys, down } = this.#settings
    const { session } = holder
    if (session === undefined || session === null) {
      if (isEnd && unsetDestroys && !this.#isDestroyed && typeof holder.sessionID === 'string') {
        const id = holder.sessionID
        this.#isDestroyed = true
        this.#write('destroy', (done) => store.destroy(id, done), undefined, false)
      }
    } else {
      this.#touch(session)
      if (this.#shouldSave()) {
        // As a call of the session's own, which others may have wrapped.
        this.#isSavingAtEnd = true
        this.#isSaved = true
        try {
          ;(session['save'] as (callback?: Callback) => void)()
        } finally {
          this.#isSavingAtEnd = false
        }
      } else if (isEnd && !this.#isSaved && store.touch !== undefined && this.#cookieId === holder.sessionID) {
        this.#write('renewal', (done) => store.touch!(session.id, session, done), undefined, false)
      }
    }
    if (this.#writes.size > 0 || this.#locks.size > 0) this.#hold(down === undefined)
  }

  /** @param answersAnyway whether a response is sent although its session could not be saved, as express-session does. */
  #hold(answersAnyway: boolean): void {
    const work = Promise.all(Array.from(this.#writes, async (write) => this.#outcomeOf(write, answersAnyway)))
    this.#writes.clear()
    const done = this.#locks.size === 0 ? work : this.#unlockAfter(work)
    deferResponse(this.#response, done, (error) => {
      this.#isOver = true
      this.#holder.sessionID = undefined
      if (this.#sentCookie !== undefined && !this.#response.headersSent) removeCookie(this.#response, this.#sentCookie)
      this.#next(error)
    })
  }

  async #outcomeOf({ kind, outcome }: Write, answersAnyway: boolean): Promise<void> {
    try {
      await outcome
    } catch (error) {
      if (answersAnyway) return void setImmediate(this.#next, error)
      if (!this.#settings.down!.forgives(error, kind)) throw error
      if (kind === 'save' && this.#sentCookie !== undefined)
        withdrawField(this.#response, 'Set-Cookie', this.#sentCookie)
    }
  }

  async #unlockAfter(work: Promise<unknown>): Promise<void> {
    try {
      await work
    } finally {
      await Promise.allSettled(Array.from(this.#locks, async (lock) => lock.release()))
      this.#locks.clear()
    }
  }

  /**
   * Starts a write and remembers it until it is done, or, where nobody is told that it failed, until the response is ended.
   * @param isTold whether the callback is the application's.
   */
  #write(kind: WriteKind, start: (done: Callback) => void, callback: Callback | undefined, isTold: boolean): void {
    let write: Write | undefined
    let settled: { error: unknown } | undefined
    const isUnattended = !isTold || callback === undefined || this.#isSavingAtEnd
    let settle: ((error: unknown) => void) | undefined
    start((error) => {
      settled = { error }
      if (kind === 'save') this.#hasFailed = isError(error)
      if (write !== undefined && (!isError(error) || !isUnattended)) this.#writes.delete(write)
      settle?.(error)
      callback?.(error)
    })
    if (settled !== undefined && (!isError(settled.error) || !isUnattended)) return
    const outcome = new Promise<void>((resolve, reject) => {
      settle = (error) => (isError(error) ? reject(error) : resolve())
      if (settled !== undefined) settle(settled.error)
    })
    outcome.catch(() => {})
    write = { kind, outcome }
    this.#writes.add(write)
  }

  /** Runs a step when what was started before it is done: a session is not destroyed before it is saved. */
  #afterWrites(step: () => void): void {
    if (this.#writes.size === 0) return step()
    const earlier = Promise.allSettled(Array.from(this.#writes, async ({ outcome }) => outcome))
    const write: Write = { kind: 'destroy', outcome: earlier.then(() => this.#stepOutcome(step)) }
    write.outcome.then(
      () => this.#writes.delete(write),
      () => {},
    )
    this.#writes.add(write)
  }

  async #stepOutcome(step: () => void): Promise<void> {
    const before = new Set(this.#writes)
    step()
    await Promise.all(Array.from(this.#writes, async (write) => (before.has(write) ? undefined : write.outcome)))
  }

  #setCookie(args: unknown[]): void {
    const holder = this.#holder
    const { session } = holder
    const { name, proxy } = this.#settings
    const response = this.#response
    if (session === undefined || session === null) {
      if (this.#isDestroyed && this.#cookieId !== undefined) {
        this.#moveFields(args)
        this.#sentCookie = clearedCookie(name, this.#defaultCookie().data)
        addCookie(response, this.#sentCookie)
      }
      return
    }
    if (!this.#shouldSetCookie(session)) return
    if (session.cookie.secure === true && !isSecure(this.#request, proxy)) {
      this.#settings.warnOfInsecure(this.#request)
      return
    }
    this.#touch(session)
    this.#moveFields(args)
    try {
      this.#sentCookie = idCookie(name, holder.sessionID!, this.#secrets[0]!, session.cookie.data)
      addCookie(response, this.#sentCookie)
    } catch (error) {
      setImmediate(this.#next, error)
    }
  }

  /** Fields that `writeHead` was given are set first, so that its `Set-Cookie` and this one are both sent. */
  #moveFields(args: unknown[]): void {
    const index = typeof args[1] === 'string' ? 2 : 1
    const fields = args[index] ?? (index === 1 ? args[2] : undefined)
    if (typeof fields !== 'object' || fields === null) return
    const response = this.#response
    if (!Array.isArray(fields)) {
      for (const [name, value] of Object.entries(fields)) if (name !== '') response.setHeader(name, value as string)
    } else if (Array.isArray(fields[0])) {
      for (const [name, value] of fields as [string, string][]) response.setHeader(name, value)
    } else {
      for (let at = 0; at + 1 < fields.length; at += 2) {
        const [name, value] = [fields[at] as string, fields[at + 1] as string]
        if (at > 0 && fields.lastIndexOf(name, at - 1) % 2 === 0) response.appendHeader(name, value)
        else response.setHeader(name, value)
      }
    }
    args.length = index
  }

  #defaultCookie(): Cookie {
    const { cookie, proxy } = this.#settings
    const made = new Cookie(typeof cookie === 'function' ? cookie(this.#request) : cookie)
    const overTls = isSecure(this.#request, proxy)
    if (made.secure === 'auto') made.secure = overTls
    if (made.sameSite === 'auto') made.sameSite = overTls ? 'none' : 'lax'
    return made
  }

  #touch(session: Session): void {
    if (this.#isTouched) return
    this.#isTouched = true
    ;(session['touch'] as () => void)()
  }

  #shouldSave(): boolean {
    const { session, sessionID } = this.#holder
    if (typeof sessionID !== 'string' || session === undefined || session === null) return false
    return !this.#settings.saveUninitialized && this.#savedText === undefined && this.#cookieId !== sessionID
      ? this.#isModified(session)
      : !(this.#originalId === session.id && this.#savedText === textOf(session))
  }

  #shouldSetCookie(session: Session): boolean {
    const { sessionID } = this.#holder
    if (typeof sessionID !== 'string' || this.#hasFailed) return false
    const { saveUninitialized, rolling } = this.#settings
    return this.#cookieId !== sessionID
      ? saveUninitialized || this.#isModified(session)
      : rolling ||
          (session.cookie.expires !== null && session.cookie.expires !== undefined && this.#isModified(session))
  }

  #isModified(session: Session): boolean {
    return this.#originalId !== session.id || this.#originalText !== textOf(session)
  }

  /** Runs a step of a response that is being written; where it throws, the session has no part in what comes. */
  #attempt(step: () => void): void {
    try {
      step()
    } catch (error) {
      this.#isOver = true
      throw error
    }
  }
}

type AnyMethod = (this: ServerResponse, ...args: unknown[]) => ServerResponse

function memcacheStoreOf({ sessionStore }: SessionHolder): MemcacheStore | undefined {
  return sessionStore instanceof MemcacheStore ? sessionStore : undefined
}

function addCookie(response: ServerResponse, cookie: string): void {
  const previous = response.getHeader('Set-Cookie') ?? []
  response.setHeader('Set-Cookie', [...(Array.isArray(previous) ? previous : [String(previous)]), cookie])
}

function removeCookie(response: ServerResponse, cookie: string): void {
  const cookies = response.getHeader('Set-Cookie')
  const left = (Array.isArray(cookies) ? cookies : []).filter((each) => each !== cookie)
  if (left.length === 0) response.removeHeader('Set-Cookie')
  else response.setHeader('Set-Cookie', left)
}

/** The session of a visitor whose own could not be read: whoever wants to save it is told that it cannot be. */
function withoutStore(session: Session, error: unknown): void {
  const fail = (callback?: Callback): Session => {
    if (callback !== undefined) process.nextTick(callback, error)
    return session
  }
  for (const method of ['save', 'reload']) {
    Object.defineProperty(session, method, { value: fail, configurable: true, enumerable: false, writable: true })
  }
}
