import type { IncomingMessage, ServerResponse } from 'node:http'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { CookieOptions } from './cookie.ts'
import { isInPath } from './cookie.ts'
import { sessionsOf } from '../request-sessions.ts'
import type { CookieCarrier, Secret } from './id-cookie.ts'
import { RequestSession } from './request-session.ts'
import { ResponseSession } from './response-session.ts'
import type { SessionSettings } from './session-options.ts'
import type { SessionHolder } from './session.ts'

/** A request of `node:http` with the properties that other middleware adds. */
type NodeRequest = IncomingMessage & CookieCarrier & SessionHolder & { originalUrl?: string; secret?: Secret }

/** A middleware of Express or Connect. */
export type SessionMiddleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void

/**
 * Creates a middleware for Express or Connect that opens sessions.
 *
 * @param property the property of the request that has the session.
 */
export function sessionMiddleware(settings: SessionSettings, property: string): SessionMiddleware {
  const { skip, cookie, isAvailable } = settings
  const fixedPath = typeof cookie === 'function' ? undefined : (cookie.path ?? '/')
  return (incoming, response, next) => {
    const request = incoming as NodeRequest
    const holder = holderOf(request, property)
    if (holder.session || !isAvailable()) return next()
    const path = fixedPath ?? (settings.cookie as (request: unknown) => CookieOptions)(request).path ?? '/'
    if (!isInPath(request.originalUrl ?? request.url ?? '', path) || skip?.(request) === true) return next()
    const secrets = settings.secrets ?? secretsOf(request)
    if (secrets === undefined)
      return next(
        new MemcacheOptionError('secret option required for sessions: set SESSION_SECRET, or pass the option secret'),
      )
    const session = new RequestSession(settings, secrets, { carrier: request, request, holder, connection: response })
    new ResponseSession(settings, session, { response, next }).open()
  }
}

/** Returns the secret that cookie-parser has put on the request; `undefined` if there is none. */
function secretsOf({ secret }: NodeRequest): readonly Secret[] | undefined {
  return secret === undefined || secret === '' ? undefined : [secret]
}

/**
 * Returns the object that holds the session: the request itself if the property is `session`; otherwise a separate
 * object that stands for the request and has its own `session` and `sessionID`.
 */
function holderOf(request: SessionHolder, property: string): SessionHolder {
  if (property === 'session') return request
  const known = sessionsOf(request)
  const existing: SessionHolder | undefined = known.get(property)
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
