import { Cookie } from './cookie.ts'

/** A Node callback. */
export type Callback<Value = void> = (error?: unknown, value?: Value) => void

/**
 * The object that has a session: the request, or one that stands for it if the session is in another property than
 * `session`.
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
  /** Whether its `createSession` makes sessions of this package. */
  readonly makesSessions?: boolean
  on?(event: string, listener: () => void): unknown
}

/** A session as a store has it. */
export type StoredData = Record<string, unknown> & { cookie: Record<string, unknown> }

/** Carries out the methods of a session for its request, and has the session. */
export interface SessionActions {
  /** The session of the request, made of what was read when it is first looked at. */
  session: Session | null | undefined
  /**
   * Whether methods that are called without a callback return promises, as in frameworks of today; express-session's
   * return the session.
   */
  readonly givesPromises: boolean
  /**
   * The outcome of a write as a promise; if nobody waits for it, its failure counts for the response.
   *
   * @param start is given whether somebody waits for it.
   */
  promiseOf(start: (callback: Callback, isTold: () => boolean) => void): Promise<void>
  save(session: Session, callback: Callback | undefined, isTold?: () => boolean): void
  destroy(session: Session, callback: Callback | undefined, isTold?: () => boolean): void
  reload(session: Session, callback: Callback): void
  regenerate(session: Session, callback: Callback, isTold?: () => boolean): void
  /** Gives the request a new session, which is empty. */
  generate(): void
  /** A new id for the same data. */
  rotate(session: Session, callback: Callback, isTold?: () => boolean): void
  lock(session: Session, options: LockOptions | undefined): Promise<SessionLock>
}

/** A session in a framework of today: its methods return promises. Its enumerable properties are what is stored. */
export interface AsyncSession {
  readonly id: string
  cookie: Cookie
  /** Stores the session now, and not at the end of its request. */
  save(): Promise<void>
  /** Reads the session again; afterwards it is the request's, and this one is not any more. */
  reload(): Promise<void>
  /** Ends the session, and takes its cookie back. */
  destroy(): Promise<void>
  /**
   * A new id, with the same data where `keep` is true: for a change of what the user may do. If the client leaves
   * before it was sent the new id, its old one goes on, with the session as it was when this was called.
   */
  regenerate(options?: { keep?: boolean | undefined }): Promise<void>
  /** Lets the session live as long again as it did at first. */
  touch(): this
  /**
   * Waits for the right to change the session alone, among all that ask for it in this way, and reads it again:
   * afterwards use the request's. The lock ends with `release`, which saves the session, or with the response.
   */
  lock(options?: LockOptions): Promise<SessionLock>
}

/** Options of `req.session.lock`. */
export interface LockOptions {
  /** How long to wait for the lock. Default 10 000. */
  waitMs?: number | undefined
  /** For how long the lock is held at most, should its holder die. Default 30. */
  leaseSeconds?: number | undefined
}

/** A lock on a session. It ends by itself when the response has been sent. */
export interface SessionLock extends AsyncDisposable {
  /** Lets others have it. */
  release(): Promise<void>
}

/** A property and not a WeakMap, whose entries cost the garbage collector as much as all else of a session. */
const ACTIONS: unique symbol = Symbol('memcache-ts.session')

type ActingHolder = SessionHolder & { [ACTIONS]?: SessionActions }

/** Has the sessions of a request go by these actions. */
export function setActions(holder: SessionHolder, actions: SessionActions): void {
  ;(holder as ActingHolder)[ACTIONS] = actions
}

function actionsOf(holder: SessionHolder): SessionActions | undefined {
  return (holder as ActingHolder)[ACTIONS]
}

/** `session` of a request, from which its actions make it when it is first looked at. */
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

/** Gives a request its property `session`. */
export function exposeSession(holder: SessionHolder): void {
  Object.defineProperty(holder, 'session', SESSION_PROPERTY)
}

/** Gives a request a new session, as a store's `generate` does. */
export function generateFor(holder: SessionHolder): void {
  actionsOf(holder)?.generate()
}

/**
 * `req.session`: an object whose enumerable properties are what is stored. Its API is express-session's; `lock` and
 * `regenerate({ keep: true })` are in addition to it.
 */
export class Session {
  /** Whether something of the data had the name of a method or a property of this class, and is left out. */
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

  /** Whether a session has all of the data that it was made of. */
  static isWhole(session: object): boolean {
    return #leavesOut in session && !session.#leavesOut
  }
}

/** Not enumerable, as express-session has them: `for … in` finds data alone. */
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
      return actions.promiseOf((done, isTold) => actions.save(this, done, isTold))
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
      return actions.promiseOf((done, isTold) => actions.destroy(this, done, isTold))
    }
    if (actions === undefined) {
      delete this.req.session
      this.req.sessionStore!.destroy(this.id, callback)
    } else actions.destroy(this, callback)
    return this
  },

  regenerate(this: Session, ...[first, second]: [Callback] | [{ keep?: boolean }, Callback?]): unknown {
    const actions = actionsOf(this.req)
    if (actions === undefined) throw new TypeError('this session has no request that it could be regenerated for')
    if (typeof first === 'function') {
      actions.regenerate(this, first)
      return this
    }
    const kind = first?.keep === true ? 'rotate' : 'regenerate'
    if (second === undefined) return actions.promiseOf((done, isTold) => actions[kind](this, done, isTold))
    actions[kind](this, (error) => process.nextTick(second, error))
    return this
  },

  lock(this: Session, options?: LockOptions): Promise<SessionLock> {
    const actions = actionsOf(this.req)
    if (actions === undefined) throw new TypeError('this session has no request that it could be locked for')
    return unlessAttended(actions.lock(this, options))
  },
}

for (const [name, value] of Object.entries(METHODS)) {
  Object.defineProperty(Session.prototype, name, { value, configurable: true, enumerable: false, writable: true })
}

/** A promise whose rejection crashes no process, if nobody waits for it. */
function unlessAttended<Value>(work: Promise<Value>): Promise<Value> {
  work.catch(() => {})
  return work
}

/** Calls a function that takes a Node callback. */
export function promised(call: (done: Callback) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (isError(error) ? reject(error) : resolve()))
  })
}

/** Whether a callback was given an error. */
export function isError(error: unknown): error is Error {
  return error !== undefined && error !== null && error !== false
}

/** Makes the session of a request of what a store has. @throws TypeError for what has no cookie. */
export function createSession(holder: SessionHolder, data: StoredData): Session {
  data.cookie = Cookie.ofStored(data.cookie) as unknown as StoredData['cookie']
  const session = new Session(holder, data)
  holder.session = session
  return session
}

/**
 * Makes the session of a request as its store wants it, where that is one of ours; another store's would not know of
 * this request's.
 */
export function inflate(holder: SessionHolder, data: StoredData): Session {
  const { sessionStore } = holder
  return sessionStore?.makesSessions === true ? sessionStore.createSession!(holder, data) : createSession(holder, data)
}

/** Reads a session again. */
export function loadInto(holder: SessionHolder, id: string, callback: Callback): void {
  holder.sessionStore!.get(id, (error, data) => {
    if (isError(error)) return callback(error)
    if (data === undefined || data === null) return callback(new Error('failed to load session'))
    inflate(holder, data)
    callback()
  })
}

/** Prepares the session of a visitor whose own could not be read: `save` and `reload` fail with the error of the read. */
export function withoutStore(session: Session, error: unknown): void {
  const fail = (callback?: Callback): Session => {
    if (callback !== undefined) process.nextTick(callback, error)
    return session
  }
  for (const method of ['save', 'reload']) {
    Object.defineProperty(session, method, { value: fail, configurable: true, enumerable: false, writable: true })
  }
}
