import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { MemcacheStore } from './memcache-store.ts'
import { isInPath } from './cookie.ts'
import { RequestSession } from './request-session.ts'
import type { SessionCarrier } from './session-cookie.ts'
import type { WriteKind } from './session-writes.ts'
import { sessionSettings } from './session-options.ts'
import type { SessionOptions, SessionSettings } from './session-options.ts'
import type { AsyncSession, SessionHolder } from './session.ts'

/** Options of `fetchSession`. */
export type FetchSessionOptions = SessionOptions<Request>

/** The data of sessions whose type is not given. */
type AnyData = Record<string, unknown>

/**
 * Opens sessions in frameworks whose handlers take a `Request` and return a `Response`: Hono, React Router, SvelteKit,
 * `Deno.serve`. Cookies and stored sessions are the same as those of `memcacheSession` in Express and Fastify, so these
 * can share sessions.
 *
 * @example
 *   const sessions = fetchSession<{ user: string }>()
 *   const opened = await sessions.open(request)
 *   opened.session.user = 'ann'
 *   return opened.commit(new Response('welcome'))
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, or if a secret is needed and not set.
 */
export function fetchSession<Data extends object = AnyData>(options: FetchSessionOptions = {}): FetchSessions<Data> {
  return new FetchSessions<Data>(sessionSettings('fetchSession', options, { givesPromises: true }))
}

/** The sessions of an application; returned by `fetchSession`. */
export class FetchSessions<Data extends object> {
  /**
   * The store that holds the sessions, with methods such as `store.sessionsOf(userId)`; the option `store`, if it is
   * given.
   */
  readonly store: MemcacheStore
  readonly #settings: SessionSettings

  constructor(settings: SessionSettings<Request>) {
    this.#settings = settings as SessionSettings
    this.store = settings.store as MemcacheStore
  }

  /**
   * Opens the session of a request, or creates one, which is stored only after something has been put into it.
   *
   * @throws MemcacheError with `statusCode` 503 if memcached is down, unless `onCacheDown` is `anonymous` or `skip`.
   */
  async open(request: Request): Promise<OpenedSession<Data>> {
    const { skip, secrets, cookie, isAvailable } = this.#settings
    const { path = '/' } = typeof cookie === 'function' ? cookie(request) : cookie
    const url = new URL(request.url)
    if (!isAvailable() || !isInPath(url.pathname, path) || skip?.(request) === true)
      return new OpenedSession<Data>(this.#settings)
    if (secrets === undefined)
      throw new MemcacheOptionError(
        'secret option required for sessions: set SESSION_SECRET, or pass the option secret',
      )
    const opened = new OpenedSession<Data>(this.#settings)
    await opened.open(request, carrierOf(request, url))
    return opened
  }

  /**
   * Calls a handler with the session of a request, and commits the session with the response that the handler returns.
   *
   * @throws MemcacheError if the session cannot be read or stored, and the errors of the handler.
   */
  async handle(
    request: Request,
    handler: (opened: OpenedSession<Data>, request: Request) => Response | Promise<Response>,
  ): Promise<Response> {
    const opened = await this.open(request)
    let response: Response
    try {
      response = await handler(opened, request)
    } catch (error) {
      // React Router redirects by throwing a response.
      if (error instanceof Response) throw await opened.commit(error)
      await opened.abandon()
      throw error
    }
    return opened.commit(response)
  }
}

/** The session of one request. */
export class OpenedSession<Data extends object> {
  readonly #settings: SessionSettings
  readonly #holder: SessionHolder = {}
  #request: RequestSession | undefined
  #isAbandoned = false
  #cookieOfError: string | undefined

  constructor(settings: SessionSettings) {
    this.#settings = settings
  }

  /**
   * The current session: a new object after `regenerate` and `reload`, `undefined` after `destroy` and for requests
   * that are skipped.
   */
  get session(): AsyncSession & Partial<Data> {
    return this.#holder.session as unknown as AsyncSession & Partial<Data>
  }

  /** Reads the session. */
  open(request: Request, carrier: SessionCarrier): Promise<void> {
    const session = new RequestSession(this.#settings, this.#settings.secrets!, {
      carrier,
      request,
      holder: this.#holder,
      connection: request.signal,
    })
    return new Promise((resolve, reject) => {
      session.open((error) => {
        if (error !== undefined) return reject(withResponse(error))
        this.#request = session
        resolve()
      })
    })
  }

  /**
   * Stores the changes, and returns the response with the cookie that it needs: the same response, or a copy if its
   * headers are immutable. If a streamed body changes the session afterwards, it has to call `session.save()`.
   *
   * @throws MemcacheError if the session cannot be stored. Do not send the response then, but commit an error response
   *   instead: nothing more is stored, and if the session has been given a new id, that response carries its cookie.
   */
  async commit(response: Response): Promise<Response> {
    const session = this.#request
    if (session === undefined) return response
    if (this.#isAbandoned) return withCookie(response, this.#cookieOfError)
    try {
      session.commit('end')
      if (session.isPending) await session.settle((error, kind) => this.#fail(error, kind))
      return withCookie(response, session.cookieToSend())
    } catch (error) {
      await this.abandon()
      throw withResponse(error, this.#cookieOfError)
    }
  }

  /**
   * Releases the locks of the session and stores nothing more, for a request that has failed. An error response can
   * still be committed.
   */
  async abandon(): Promise<void> {
    const session = this.#request
    if (session === undefined || this.#isAbandoned) return
    this.#isAbandoned = true
    // If the session is being given a new id, wait until that is done.
    if (session.isPending) await session.settle(() => {})
    this.#cookieOfError = session.abandon()
  }

  #fail(error: unknown, kind: WriteKind): void {
    if (this.#settings.down?.forgives(error, kind) !== true) throw error
  }
}

function carrierOf({ headers }: Request, { protocol }: URL): SessionCarrier {
  const field = (name: string): string | undefined => headers.get(name) ?? undefined
  return {
    headers: {
      cookie: field('cookie'),
      'x-forwarded-proto': field('x-forwarded-proto'),
      forwarded: field('forwarded'),
    },
    secure: protocol === 'https:',
  }
}

/** Adds `getResponse`, which Hono calls, to the error of an unavailable session; other frameworks use its `statusCode`. */
function withResponse(error: unknown, cookie?: string): unknown {
  const status = (error as { statusCode?: number } | undefined)?.statusCode
  if (status === undefined) return error
  return Object.defineProperty(error, 'getResponse', {
    value: () => withCookie(new Response('Service Unavailable', { status }), cookie),
    configurable: true,
  })
}

function withCookie(response: Response, cookie: string | undefined): Response {
  if (cookie === undefined) return response
  try {
    response.headers.append('Set-Cookie', cookie)
    return response
  } catch {
    // `Response.error()` cannot be copied; no client receives it.
    if (response.type === 'error') return response
    // The headers of a redirect and of a response of `fetch` are immutable.
    const copy = new Response(response.body, response)
    copy.headers.append('Set-Cookie', cookie)
    return copy
  }
}
