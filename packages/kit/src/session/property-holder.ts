import type { SessionHolder } from './session.ts'

const HOLDERS: unique symbol = Symbol('memcache-ts.sessions')

type Request = SessionHolder & { [HOLDERS]?: Map<string, SessionHolder> }

/**
 * Where the session of a property is: the request itself for `session`; for another property an object of its own that
 * stands for the request and has `session` and `sessionID`.
 */
export function holderOf(request: SessionHolder, property: string): SessionHolder {
  if (property === 'session') return request
  const known = ((request as Request)[HOLDERS] ??= new Map())
  const existing = known.get(property)
  if (existing !== undefined) return existing
  const holder: SessionHolder = Object.create(request, {
    session: { value: undefined, writable: true, configurable: true },
    sessionID: { value: undefined, writable: true, configurable: true },
    sessionStore: { value: undefined, writable: true, configurable: true },
  })
  known.set(property, holder)
  Object.defineProperty(request, property, {
    get: () => holder.session,
    set: (session: SessionHolder['session']) => {
      holder.session = session
    },
    configurable: true,
    enumerable: true,
  })
  return holder
}
