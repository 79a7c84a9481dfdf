import { EventEmitter } from 'node:events'
import { createSession, isError } from './session.ts'
import type { AnyStore, Callback, Session, SessionHolder, StoredData } from './session.ts'

/** The base class of session stores, for `memcacheSession` and express-session. */
export abstract class Store extends EventEmitter implements AnyStore {
  /** Gives a request a new session; set by the middleware. */
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

  /** Reads a session that belongs to no request; calls back without a session if there is none. */
  load(id: string, callback: Callback<Session>): void {
    this.get(id, (error, data) => {
      if (isError(error)) return callback(error)
      if (data === undefined || data === null) return callback()
      callback(null, this.createSession({ sessionID: id, sessionStore: this }, data))
    })
  }

  /** Creates the session of a request from stored data. */
  createSession(request: SessionHolder, data: StoredData): Session {
    return createSession(request, data)
  }
}

/**
 * Passes the outcome of a promise to a Node callback. An error that the callback throws is uncaught, rather than a
 * rejection of the promise. Without a callback, the promise is returned, and a caller may ignore it.
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
