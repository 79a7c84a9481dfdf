import type { MemcacheStore } from './memcache-store.ts'
import { ReplacedSession } from './replaced-session.ts'
import type { RequestSession } from './request-session.ts'
import type { SessionClient } from './session-client.ts'
import { promised } from './session.ts'
import type { AnyStore, Session } from './session.ts'
import { warnOfLoss } from './session-writes.ts'

/** The request whose session gets a new id. */
export interface RotatingRequest {
  readonly request: RequestSession
  /** The id that the client has. */
  readonly cookieId: string | undefined
  /** The store, unless it is one of another kind. */
  readonly store: MemcacheStore | undefined
  /** `undefined` if it is not known when the client leaves. */
  readonly client: SessionClient | undefined
  /** Gives the request a new session; returns a function that forgets it again. */
  begin(): () => void
  /** Has the cookie of a session sent, even if its data does not change. */
  expectCookie(session: Session): void
  /** Waits for the writes that the request has started before; `undefined` if there are none. */
  earlierWrites(): Promise<void> | undefined
}

/** Gives the session of one request new ids. */
export class SessionRotations {
  readonly #rotating: RotatingRequest
  /** The session of the client's id, once another one has its place. */
  #replaced: ReplacedSession | undefined
  /** The rotations that are under way. */
  #running: Promise<unknown> = Promise.resolve()

  constructor(rotating: RotatingRequest) {
    this.#rotating = rotating
  }

  /**
   * Gives a request a session with a new id and the same data. The request has it immediately, so that the cookie has
   * the new id whenever the head is written. The session is stored before the old one is destroyed: if that fails, the
   * request has the old one again. After the new one has been stored, it is the user's. If the client leaves before it
   * was sent the new id, its old one goes on.
   *
   * @throws the error of the store, if the session could not be stored or it is not known whether the old one was
   *   destroyed.
   */
  rotate(session: Session): Promise<void> {
    const rotation = this.#rotate(session)
    this.#running = Promise.allSettled([this.#running, rotation])
    return rotation
  }

  /**
   * Ends the session of the client's id with the one that has its place, which is destroyed; `undefined` if there is
   * nothing to wait for.
   */
  end(): Promise<void> | undefined {
    return this.#replaced?.end()
  }

  async #rotate(session: Session): Promise<void> {
    const rotating = this.#rotating
    const { request, store } = rotating
    const { holder } = request
    const { cookie, ...data } = session
    const forget = rotating.begin()
    const rotated = request.session!
    Object.assign(rotated, data)
    rotated.cookie = cookie
    rotating.expectCookie(rotated)
    let error: unknown
    try {
      const replaced = store?.replace(session, rotated) ?? replaceIn(holder.sessionStore!, session, rotated)
      const earlier = rotating.earlierWrites()
      if (earlier !== undefined) await earlier
      await promised((done) => request.save(rotated, done))
      error = await this.#takeOver(replaced, rotated)
      if (error === undefined) return
    } catch (problem) {
      if (request.storedSession === rotated) throw problem
      error = problem
    }
    holder.sessionStore!.destroy(rotated.id, () => {})
    forget()
    // Unless the application has replaced it.
    if (request.session === rotated) {
      holder.sessionID = session.id
      request.session = session
    }
    throw error
  }

  /**
   * Destroys the old session; returns the error with which it stays, or with which both end.
   *
   * @throws the error if the new session exists, and it is not known whether the old one does.
   */
  async #takeOver(replaced: ReplacedSession, rotated: Session): Promise<unknown> {
    const { cookieId, client } = this.#rotating
    const isClients = replaced.id === cookieId
    if (!isClients || client?.hasLeft !== true) {
      const retirement = await replaced.retire()
      if (retirement.outcome === 'kept') return retirement.error
      if (retirement.outcome === 'destroyed') return new Error('the session was destroyed by another request')
      if (isClients) this.#watch(replaced)
      else this.#replaced?.passOn(rotated)
      if (retirement.outcome === 'unknown') throw retirement.error
    } else this.#replaced = replaced
    if (isClients && client?.hasLeft === true) await replaced.comeBack()
    return undefined
  }

  #watch(replaced: ReplacedSession): void {
    this.#replaced = replaced
    this.#rotating.client?.onceLeft(() => {
      this.#running.then(() => replaced.comeBack()).catch(warnOfLoss)
    })
  }
}

/** Replaces a session in a store of another kind, which can bring back none that was destroyed. */
function replaceIn(store: AnyStore, session: Session, by: Session): ReplacedSession {
  const destroy = (): Promise<void> => promised((done) => store.destroy(session.id, done))
  return new ReplacedSession(session.id, by, {
    retire: () =>
      destroy().then(
        () => ({ outcome: 'retired' }),
        (error: unknown) => ({ outcome: 'unknown', error }),
      ),
    revive: () => Promise.resolve(),
    save: () => promised((done) => store.set(session.id, session, done)),
    destroy,
  })
}
