import type { MemcacheStore } from './memcache-store.ts'
import { ReplacedSession } from './replaced-session.ts'
import type { RequestSession } from './request-session.ts'
import type { SessionClient } from './session-client.ts'
import { promised } from './session.ts'
import type { AnyStore, Session } from './session.ts'
import { warnOfLoss } from './session-writes.ts'

/** A request whose session gets a new id. */
export interface RotatingRequest {
  readonly request: RequestSession
  /** The id in the client's cookie. */
  readonly cookieId: string | undefined
  /** The store; `undefined` if it is not a `MemcacheStore`. */
  readonly store: MemcacheStore | undefined
  /** The client; `undefined` if it is not known when it disconnects. */
  readonly client: SessionClient | undefined
  /** Gives the request a new session; returns a function that undoes this. */
  begin(): () => void
  /** Makes the response carry the cookie of a session even if its data does not change. */
  expectCookie(session: Session): void
  /** Resolves when the writes that the request has started before are done; `undefined` if there are none. */
  earlierWrites(): Promise<void> | undefined
}

/** Gives new ids to the session of one request. */
export class SessionRotations {
  readonly #rotating: RotatingRequest
  /** The session with the client's id, after another one has replaced it. */
  #replaced: ReplacedSession | undefined
  /** The running rotations. */
  #running: Promise<unknown> = Promise.resolve()

  constructor(rotating: RotatingRequest) {
    this.#rotating = rotating
  }

  /**
   * Gives a request a session with a new id and the same data. The request gets it immediately, so that the cookie has
   * the new id whenever the head is written. The new session is stored before the old one is destroyed; if storing
   * fails, the request gets the old one back. If the client disconnects before the new id was sent to it, its old id
   * works again.
   *
   * @throws the error of the store, if the session could not be stored, or if it is unknown whether the old one was
   *   destroyed.
   */
  rotate(session: Session): Promise<void> {
    const rotation = this.#rotate(session)
    this.#running = Promise.allSettled([this.#running, rotation])
    return rotation
  }

  /**
   * Destroys the session with the client's id, after its replacement was destroyed; `undefined` if there is nothing to
   * wait for.
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
    // The application may have replaced it.
    if (request.session === rotated) {
      holder.sessionID = session.id
      request.session = session
    }
    throw error
  }

  /**
   * Destroys the old session; returns the error if the old session stays, or if both are gone.
   *
   * @throws the error if the new session exists, and it is unknown whether the old one does.
   */
  async #takeOver(replaced: ReplacedSession, rotated: Session): Promise<unknown> {
    const { cookieId, client } = this.#rotating
    const isClients = replaced.id === cookieId
    if (!isClients || client?.hasLeft !== true) {
      const retirement = await replaced.retire()
      if (retirement.outcome === 'kept') return retirement.error
      if (retirement.outcome === 'destroyed')
        return new Error('the session was destroyed by another request, so it cannot get a new id')
      if (isClients) this.#watch(replaced)
      else this.#replaced?.passOn(rotated)
      if (retirement.outcome === 'unknown') throw retirement.error
    } else this.#replaced = replaced
    if (isClients && client?.hasLeft === true) await replaced.restore()
    return undefined
  }

  #watch(replaced: ReplacedSession): void {
    this.#replaced = replaced
    this.#rotating.client?.onceLeft(() => {
      this.#running.then(() => replaced.restore()).catch(warnOfLoss)
    })
  }
}

/** Replaces a session in another kind of store, which cannot restore a destroyed session. */
function replaceIn(store: AnyStore, session: Session, by: Session): ReplacedSession {
  const end = ({ id }: Session): Promise<void> => promised((done) => store.destroy(id, done))
  return new ReplacedSession(session.id, by, {
    retire: () =>
      end(session).then(
        () => ({ outcome: 'retired' }),
        (error: unknown) => ({ outcome: 'unknown', error }),
      ),
    revive: () => Promise.resolve(),
    save: () => promised((done) => store.set(session.id, session, done)),
    destroy: () => end(session),
    destroySuccessor: end,
  })
}
