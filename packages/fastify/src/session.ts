import { Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { MemcacheOptionError } from 'memcache-ts'
import { isInPath, RequestSession, sessionSettings } from 'memcache-ts/session'
import type { AnyStore, AsyncSession, SessionCarrier, SessionOptions, SessionSettings } from 'memcache-ts/session'

/**
 * The data of sessions, for an application to declare: `declare module 'memcache-ts-fastify' { interface SessionData {
 * user: string } }`.
 */
// oxlint-disable-next-line typescript/no-empty-object-type -- it is extended
export interface SessionData {}

declare module 'fastify' {
  interface FastifyRequest {
    /** The session; missing after `destroy`, and for skipped requests. */
    session: AsyncSession & Partial<SessionData>
    /** The id of the session, as in its cookie. */
    sessionID: string
    sessionStore: AnyStore
  }
}

/** Options of `memcacheSession`; all are optional. */
export type MemcacheSessionOptions = SessionOptions<FastifyRequest>

/** The session of a request, until its response has been sent. */
const OPENED: unique symbol = Symbol('memcache-ts.session')

type SessionedRequest = FastifyRequest & { [OPENED]?: RequestSession | null }

async function openSessions(app: FastifyInstance, options: MemcacheSessionOptions): Promise<void> {
  const settings = sessionSettings('memcacheSession', options, { givesPromises: true }) as SessionSettings
  if (settings.secrets === undefined)
    throw new MemcacheOptionError(
      'memcacheSession: no secret is set to sign session cookies with: set SESSION_SECRET, or write secret next to store',
    )
  const { secrets } = settings
  app.decorateRequest('session', null as never)
  app.decorateRequest('sessionID', null as never)
  app.decorateRequest('sessionStore', null as never)
  app.decorateRequest(OPENED, null)

  app.addHook('onRequest', (request, reply, next) => {
    const { cookie, skip, isAvailable } = settings
    const { path = '/' } = typeof cookie === 'function' ? cookie(request) : cookie
    if (!isAvailable() || !isInPath(request.raw.url ?? '', path) || skip?.(request) === true) return next()
    const carrier = new RequestCarrier(request)
    const session = new RequestSession(settings, secrets, {
      carrier,
      request,
      holder: request as never,
      connection: reply.raw,
    })
    ;(request as SessionedRequest)[OPENED] = session
    session.open((error) => {
      if (error !== undefined) (request as SessionedRequest)[OPENED] = null
      next(error as Error | undefined)
    })
  })

  // The payload of a handler waits here until the session is saved.
  // oxlint-disable-next-line max-params -- the interface of Fastify
  app.addHook('onSend', (request, reply, payload, next) => {
    const session = (request as SessionedRequest)[OPENED]
    if (session === null || session === undefined) return next()
    try {
      session.commit('end')
      if (!session.isPending) {
        setCookie(session, reply)
        return next()
      }
    } catch (error) {
      return fail(error)
    }
    settle(session)
      .then(() => {
        setCookie(session, reply)
        next()
      }, fail)
      .catch(fail)

    function fail(error: unknown): void {
      const cookie = session!.abandon()
      if (cookie !== undefined) reply.header('Set-Cookie', cookie)
      discard(payload)
      next(error as Error)
    }
  })

  // A response that was sent without Fastify (`reply.hijack`, `reply.raw`) has not passed `onSend`, and a stream may
  // have changed the session afterwards.
  app.addHook('onResponse', (request, _reply, next) => {
    const session = (request as SessionedRequest)[OPENED]
    if (session === null || session === undefined) return next()
    ;(request as SessionedRequest)[OPENED] = null
    try {
      session.commit('head')
    } catch (error) {
      return next(error as Error)
    }
    if (!session.isPending) return next()
    settle(session).then(() => next(), next)
  })

  function settle(session: RequestSession): Promise<unknown> {
    return session.settle((error, kind) => {
      if (settings.down?.forgives(error, kind) !== true) throw error
    })
  }
}

function setCookie(session: RequestSession, reply: FastifyReply): void {
  const cookie = session.cookieToSend()
  if (cookie !== undefined) reply.header('Set-Cookie', cookie)
}

/** Closes a stream that is not sent. */
function discard(payload: unknown): void {
  if (payload instanceof Readable) payload.destroy()
  else if (payload instanceof ReadableStream) payload.cancel().catch(() => {})
}

/** The parts of a Fastify request from which its session is found. */
class RequestCarrier implements SessionCarrier {
  readonly headers: SessionCarrier['headers']
  readonly #request: FastifyRequest

  constructor(request: FastifyRequest) {
    this.headers = request.raw.headers
    this.#request = request
  }

  get socket(): object {
    return this.#request.raw.socket
  }

  /** Includes the proxy's protocol, with `trustProxy`. */
  get secure(): boolean {
    return this.#request.protocol === 'https'
  }
}

/**
 * A Fastify plugin for sessions in memcached: `app.register(memcacheSession, { secret })`. `request.session` has the
 * stored properties, and methods that return promises. Cookies and stored sessions are the same as with
 * `memcacheSession` in Express. A response is sent after its session has been saved.
 *
 * @example
 *   await app.register(memcacheSession, { secret: process.env.SESSION_SECRET })
 *   app.get('/visits', async ({ session }) => (session.visits = (session.visits ?? 0) + 1))
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, or a required secret is missing.
 */
export const memcacheSession: FastifyPluginAsync<MemcacheSessionOptions> = Object.assign(openSessions, {
  // As fastify-plugin does: the hooks apply to the application that registers the plugin, not to a child context.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'memcache-ts-fastify',
  [Symbol.for('plugin-meta')]: { name: 'memcache-ts-fastify', fastify: '5.x' },
})
