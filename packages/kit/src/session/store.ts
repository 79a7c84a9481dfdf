import { EventEmitter } from 'node:events'
import { createSession, isError } from './session.ts'
import type { AnyStore, Callback, Session, SessionHolder, StoredData } from './session.ts'

/** What every store of sessions has, whether the middleware is `memcacheSession` or express-session. */
export abstract class Store extends EventEmitter implements AnyStore {
  /** Gives a request a new session; the middleware sets it. */
  declare generate: (request: SessionHolder) => void

  get makesSessions(): boolean {
    return true
  }

  abstract get(id: string, callback: (error: unknown, session?: StoredData | null) => void): void
  abstract set(id: string, session: object, callback?: Callback): void
  abstract destroy(id: string, callback?: Callback): void

  /** Destroys the session of a request and gives it a new one. */
  regenerate(request: SessionHolder, callback: Callback): void {
    this.destroy(request.sessionID!, (error) => {
      this.generate(request)
      callback(error)
    })
  }

  /** A session that belongs to no request. */
  load(id: string, callback: Callback<Session>): void {
    this.get(id, (error, data) => {
      if (isError(error)) return callback(error)
      if (data === undefined || data === null) return callback()
      callback(null, this.createSession({ sessionID: id, sessionStore: this }, data))
    })
  }

  /** Makes the session of a request of what is stored. */
  createSession(request: SessionHolder, data: StoredData): Session {
    return createSession(request, data)
  }
}

/**
 * Hands a promise's outcome to a Node callback; what the callback throws is its own, and not the promise's. Without a
 * callback the promise is returned; a caller may ignore it.
 */
export function settle<Value>(work: Promise<Value>, callback: Callback<Value> | undefined): Promise<Value> | void {
  if (callback === undefined) {
    work.catch(() => {})
    return work
  }
  work.then(
    (value) => callOut(callback, null, value),
    (error: unknown) => callOut(callback, error),
  )
}

function callOut<Value>(callback: Callback<Value>, error: unknown, value?: Value): void {
  try {
    callback(error, value)
  } catch (thrown) {
    process.nextTick(() => {
      throw thrown
    })
  }
}
