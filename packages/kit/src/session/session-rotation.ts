import type { MemcacheStore } from './memcache-store.ts'
import type { RequestSession } from './request-session.ts'
import { promised } from './session.ts'
import type { Session } from './session.ts'
import type { Retirement } from './session-snapshot.ts'

/** The request whose session gets a new id. */
export interface RotatingRequest {
  readonly request: RequestSession
  /** The store, unless it is one of another kind. */
  readonly store: MemcacheStore | undefined
  /** Gives the request a new session; returns a function that forgets it again. */
  begin(): () => void
  /** Has the cookie of a session sent, even if its data does not change. */
  expectCookie(session: Session): void
  /** Waits for the writes that the request has started before; `undefined` if there are none. */
  earlierWrites(): Promise<void> | undefined
}

/**
 * Gives a request a session with a new id and the same data. The request has it immediately, so that the cookie has the
 * new id whenever the head is written. The session is stored before the old one is destroyed: if that fails, the
 * request has the old one again. After the new one has been stored, it is the user's.
 *
 * @throws the error of the store, if the session could not be stored or it is not known whether the old one was
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
    // The new session exists; whether the old one does is not known.
    if (retirement.outcome === 'unknown') throw retirement.error
    error = retirement.outcome === 'kept' ? retirement.error : new Error('the session was destroyed by another request')
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

async function retire({ request, store }: RotatingRequest, session: Session, rotated: Session): Promise<Retirement> {
  if (store !== undefined) return store.retire(session, rotated)
  return promised((done) => request.holder.sessionStore!.destroy(session.id, done)).then(
    () => ({ outcome: 'retired' }),
    (error: unknown) => ({ outcome: 'unknown', error }),
  )
}
