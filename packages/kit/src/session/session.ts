import { booleanOption, checkOptions } from 'memcache-ts-protocol'
import { Cookie } from './cookie.ts'

/** A Node callback. */
export type Callback<Value = void> = (error?: unknown, value?: Value) => void

/**
 * The object that has the property `session`: the request, or an object that stands for it if the session is in another
 * property of the request.
 */
export interface SessionHolder {
  session?: Session | null | undefined
  sessionID?: string | undefined
  sessionStore?: AnyStore | undefined
}

/** The methods of an express-session Store that the engine uses. */
export interface AnyStore {
  get(id: string, callback: (error: unknown, session?: StoredData | null) => void): void
  set(id: string, session: object, callback?: Callback): void
  destroy(id: string, callback?: Callback): void
  touch?(id: string, session: object, callback?: Callback): void
  createSession?(request: SessionHolder, data: StoredData): Session
  generate?(request: SessionHolder): void
  /** Destroys the session of a request and gives it a new one, by `generate`. */
  regenerate?(request: SessionHolder, callback: Callback): void
  /** Whether its `createSession` returns sessions of this package. */
  readonly makesSessions?: boolean
  on?(event: string, listener: () => void): unknown
}

/** A session as a store returns it. */
export type StoredData = Record<string, unknown> & { cookie: Record<string, unknown> }

/** Implements the methods of a session for its request, and holds the session. */
export interface SessionActions {
  /** The session of the request; it is created from the stored data at the first access. */
  session: Session | null | undefined
  /** Whether methods that are called without a callback return promises; in express-session they return the session. */
  readonly givesPromises: boolean
  /**
   * Returns the outcome of a write as a promise. If no caller waits for it, a failure makes the response fail.
   *
   * @param start starts the write; its second argument returns whether a caller waits for the promise.
   */
  promiseOf(start: (callback: Callback, isAttended: () => boolean) => void): Promise<void>
  save(session: Session, callback: Callback | undefined, isAttended?: () => boolean): void
  destroy(session: Session, callback: Callback | undefined, isAttended?: () => boolean): void
  reload(session: Session, callback: Callback): void
  regenerate(session: Session, callback: Callback, isAttended?: () => boolean): void
  /** Gives the request a new, empty session. */
  generate(): void
  /** Gives the session a new id and keeps its data. */
  rotate(session: Session, callback: Callback, isAttended?: () => boolean): void
  lock(session: Session, options: LockOptions | undefined): Promise<SessionLock>
}

/** A session whose methods return promises. Its enumerable properties are stored. */
export interface AsyncSession {
  readonly id: string
  cookie: Cookie
  /** Stores the session now instead of at the end of its request. */
  save(): Promise<void>
  /** Reads the session again. Use the request's new session object afterwards. */
  reload(): Promise<void>
  /** Destroys the session and removes its cookie. */
  destroy(): Promise<void>
  /**
   * Gives the session a new id; call it when the user's rights change, such as at login. `keep: true` keeps its data;
   * otherwise the new session is empty. If the client disconnects before the new id was sent to it, its old id works
   * again, with the session as it was when this was called.
   */
  regenerate(options?: { keep?: boolean | undefined }): Promise<void>
  /** Resets the lifetime of the session. */
  touch(): this
  /**
   * Waits for the lock of the session, then reads the session again: use the request's new session object afterwards.
   * The lock is advisory: it excludes only requests that lock the session too. It ends with `release`, which saves the
   * session, or with the response.
   *
   * @throws MemcacheServerError if other requests hold the lock for longer than `waitMs`.
   */
  lock(options?: LockOptions): Promise<SessionLock>
}

/** Options of `req.session.lock`. */
export interface LockOptions {
  /** How long to wait for the lock, in milliseconds. Default 10 000. */
  waitMs?: number | undefined
  /** The lifetime of the lock in seconds: if its holder dies, the lock ends then. Default 30. */
  leaseSeconds?: number | undefined
}

/** A lock on a session. If it is not released, it ends with the response of its request. */
export interface SessionLock extends AsyncDisposable {
  /** Releases the lock. A lock of a request saves its session first. */
  release(): Promise<void>
}

/**
 * A property rather than a WeakMap, whose entries would cost the garbage collector as much as everything else of a
 * session.
 */
const ACTIONS: unique symbol = Symbol('memcache-ts.session')

type ActingHolder = SessionHolder & { [ACTIONS]?: SessionActions }

/** Sets the actions that the methods of a request's sessions call. */
export function setActions(holder: SessionHolder, actions: SessionActions): void {
  ;(holder as ActingHolder)[ACTIONS] = actions
}

function actionsOf(holder: SessionHolder): SessionActions | undefined {
  return (holder as ActingHolder)[ACTIONS]
}

/** The property `session` of a request, whose actions create the session at the first access. */
const SESSION_PROPERTY: PropertyDescriptor = {
  configurable: true,
  enumerable: true,
  get(this: ActingHolder): Session | null | undefined {
    return this[ACTIONS]?.session
  },
  set(this: ActingHolder, session: Session | null | undefined) {
    this[ACTIONS]!.session = session
  },
}

/** Defines the property `session` on a request. */
export function exposeSession(holder: SessionHolder): void {
  Object.defineProperty(holder, 'session', SESSION_PROPERTY)
}

/** Gives a request a new session; the `generate` of every store. */
export function generateFor(holder: SessionHolder): void {
  actionsOf(holder)?.generate()
}

/**
 * The object `req.session`; its enumerable properties are stored. Its API is that of express-session, plus `lock` and
 * `regenerate({ keep: true })`.
 */
export class Session {
  /** Whether data was left out because it had the name of a method or a property of this class. */
  #leavesOut = false
  declare readonly req: SessionHolder
  declare readonly id: string
  declare cookie: Cookie;
  [key: string]: unknown

  constructor(holder: SessionHolder, data?: object) {
    Object.defineProperty(this, 'req', { value: holder })
    Object.defineProperty(this, 'id', { value: holder.sessionID })
    if (typeof data !== 'object' || data === null) return
    // Data with the name of a method or a property of this class is left out.
    for (const key of Object.keys(data)) {
      if (key in this) this.#leavesOut = true
      else this[key] = (data as Record<string, unknown>)[key]
    }
  }

  /** Returns whether a session has all of the data that it was created from. */
  static isWhole(session: object): boolean {
    return #leavesOut in session && !session.#leavesOut
  }
}

/** The methods, which are not enumerable, as in express-session: `for … in` finds only data. */
const METHODS = {
  touch(this: Session): Session {
    return (this['resetMaxAge'] as () => Session)()
  },

  resetMaxAge(this: Session): Session {
    this.cookie.maxAge = this.cookie.originalMaxAge
    return this
  },

  save(this: Session, callback?: Callback): unknown {
    const actions = actionsOf(this.req)
    if (callback === undefined && actions?.givesPromises === true) {
      return actions.promiseOf((done, isAttended) => actions.save(this, done, isAttended))
    }
    if (actions === undefined) this.req.sessionStore!.set(this.id, this, callback ?? (() => {}))
    else actions.save(this, callback)
    return this
  },

  reload(this: Session, callback: Callback): unknown {
    const actions = actionsOf(this.req)
    if (callback === undefined && actions?.givesPromises === true) {
      return unlessAttended(promised((done) => actions.reload(this, done)))
    }
    if (actions === undefined) loadInto(this.req, this.id, callback)
    else actions.reload(this, callback)
    return this
  },

  destroy(this: Session, callback?: Callback): unknown {
    const actions = actionsOf(this.req)
    if (callback === undefined && actions?.givesPromises === true) {
      return actions.promiseOf((done, isAttended) => actions.destroy(this, done, isAttended))
    }
    if (actions === undefined) {
      delete this.req.session
      this.req.sessionStore!.destroy(this.id, callback)
    } else actions.destroy(this, callback)
    return this
  },

  regenerate(this: Session, ...[first, second]: [Callback] | [{ keep?: boolean }, Callback?]): unknown {
    const actions = actionsOf(this.req)
    const keeps = first !== undefined && typeof first !== 'function' && keepsData(first)
    if (actions === undefined) {
      regenerateOutside(this.req, typeof first === 'function' ? first : undefined)
      return this
    }
    if (typeof first === 'function') {
      actions.regenerate(this, first)
      return this
    }
    const kind = keeps ? 'rotate' : 'regenerate'
    if (second === undefined) return actions.promiseOf((done, isAttended) => actions[kind](this, done, isAttended))
    actions[kind](this, (error) => process.nextTick(second, error))
    return this
  },

  lock(this: Session, options?: LockOptions): Promise<SessionLock> {
    const actions = actionsOf(this.req)
    if (actions === undefined) throw new TypeError('this session belongs to no request: lock it by store.lock(id)')
    return unlessAttended(actions.lock(this, options))
  },
}

/** @throws MemcacheOptionError if an option is unknown or invalid: a misspelt `keep` would lose the data. */
function keepsData(options: { keep?: boolean | undefined }): boolean {
  checkOptions('regenerate', options, { names: ['keep'], hints: { keepData: 'keep', preserve: 'keep' } })
  return options.keep !== undefined && booleanOption('keep', options.keep)
}

/**
 * Regenerates a session that express-session manages: its middleware has set the `generate` of the store.
 *
 * @throws TypeError if there is no such middleware, or `regenerate` was not called with a callback alone, which is the
 *   only form that express-session has.
 */
function regenerateOutside(request: SessionHolder, callback: Callback | undefined): void {
  const { sessionStore } = request
  if (sessionStore?.generate === undefined || sessionStore.generate === generateFor) {
    throw new TypeError(
      'this session belongs to no request, so it cannot be regenerated: call regenerate on req.session',
    )
  }
  if (callback === undefined) {
    throw new TypeError(
      'express-session regenerates a session only by a callback, and without its data: use memcacheSession for promises and keep',
    )
  }
  sessionStore.regenerate!(request, callback)
}

for (const [name, value] of Object.entries(METHODS)) {
  Object.defineProperty(Session.prototype, name, { value, configurable: true, enumerable: false, writable: true })
}

/** Returns a promise whose rejection does not crash the process if no caller waits for it. */
function unlessAttended<Value>(work: Promise<Value>): Promise<Value> {
  work.catch(() => {})
  return work
}

/** Calls a function that takes a Node callback, and returns a promise of its outcome. */
export function promised(call: (done: Callback) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (isError(error) ? reject(error) : resolve()))
  })
}

/** Returns whether a callback received an error. */
export function isError(error: unknown): error is Error {
  return error !== undefined && error !== null && error !== false
}

/**
 * Creates the session of a request from stored data.
 *
 * @throws TypeError if the data has no cookie.
 */
export function createSession(holder: SessionHolder, data: StoredData): Session {
  data.cookie = Cookie.ofStored(data.cookie) as unknown as StoredData['cookie']
  const session = new Session(holder, data)
  holder.session = session
  return session
}

/**
 * Creates the session of a request by its store's `createSession` if the store is one of this package. Sessions of
 * another store would not have the methods of this package.
 */
export function inflate(holder: SessionHolder, data: StoredData): Session {
  const { sessionStore } = holder
  return sessionStore?.makesSessions === true ? sessionStore.createSession!(holder, data) : createSession(holder, data)
}

/** Reads a session and makes it the session of a request. */
export function loadInto(holder: SessionHolder, id: string, callback: Callback): void {
  holder.sessionStore!.get(id, (error, data) => {
    if (isError(error)) return callback(error)
    if (data === undefined || data === null) return callback(new Error('failed to load session'))
    inflate(holder, data)
    callback()
  })
}

/**
 * Prepares a session that stands in for one that could not be read: its `save` and `reload` fail with the error of the
 * read.
 */
export function withoutStore(session: Session, error: unknown): void {
  const fail = (callback?: Callback): Session => {
    if (callback !== undefined) process.nextTick(callback, error)
    return session
  }
  for (const method of ['save', 'reload']) {
    Object.defineProperty(session, method, { value: fail, configurable: true, enumerable: false, writable: true })
  }
}
