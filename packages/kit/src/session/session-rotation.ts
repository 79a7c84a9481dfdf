import type { MemcacheStore } from './memcache-store.ts'
import type { RequestSession } from './request-session.ts'
import { promised } from './session.ts'
import type { Session } from './session.ts'
import type { Retirement } from './session-snapshot.ts'

/** A request whose session gets a new id. */
export interface RotatingRequest {
  readonly request: RequestSession
  /** The store; `undefined` if it is not a `MemcacheStore`. */
  readonly store: MemcacheStore | undefined
  /** Gives the request a new session; returns a function that undoes this. */
  begin(): () => void
  /** Makes the response carry the cookie of a session even if its data does not change. */
  expectCookie(session: Session): void
  /** Resolves when the writes that the request has started before are done; `undefined` if there are none. */
  earlierWrites(): Promise<void> | undefined
}

/**
 * Gives a request a session with a new id and the same data. The request gets it immediately, so that the cookie has
 * the new id whenever the head is written. The new session is stored before the old one is destroyed; if storing fails,
 * the request gets the old one back.
 *
 * @throws the error of the store, if the session could not be stored, or if it is unknown whether the old one was
 *   destroyed.
 */
export async function rotate(rotating: RotatingRequest, session: Session): Promise<void> {
  const { request, store } = rotating
  const { holder } = request
  const { cookie, ...data } = session
  const forget = rotating.begin()
  const rotated = request.session!
  Object.assign(rotated, data)
  rotated.cookie = cookie
  rotating.expectCookie(rotated)
  store?.keepAge(rotated, session)
  const earlier = rotating.earlierWrites()
  if (earlier !== undefined) await earlier
  let error: unknown
  try {
    await promised((done) => request.save(rotated, done))
    const retirement = await retire(rotating, session, rotated)
    if (retirement.outcome === 'retired') return
    // The new session exists; it is unknown whether the old one still does.
    if (retirement.outcome === 'unknown') throw retirement.error
    error =
      retirement.outcome === 'kept'
        ? retirement.error
        : new Error('the session was destroyed by another request, so it cannot get a new id')
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

async function retire({ request, store }: RotatingRequest, session: Session, rotated: Session): Promise<Retirement> {
  if (store !== undefined) return store.retire(session, rotated)
  return promised((done) => request.holder.sessionStore!.destroy(session.id, done)).then(
    () => ({ outcome: 'retired' }),
    (error: unknown) => ({ outcome: 'unknown', error }),
  )
}
