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

/** What sessions have that nothing else is said of. */
type AnyData = Record<string, unknown>

/**
 * Sessions for what handles a `Request` and returns a `Response`: Hono, React Router, SvelteKit, `Deno.serve`. Cookies
 * and stored sessions are those of `memcacheSession` in Express and Fastify, so that all of them can share sessions.
 *
 * @example
 *   const sessions = fetchSession<{ user: string }>()
 *   const opened = await sessions.open(request)
 *   opened.session.user = 'ann'
 *   return opened.commit(new Response('welcome'))
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, and without a secret where one is needed.
 */
export function fetchSession<Data extends object = AnyData>(options: FetchSessionOptions = {}): FetchSessions<Data> {
  return new FetchSessions<Data>(sessionSettings('fetchSession', options, true))
}

/** What `fetchSession` returns. */
export class FetchSessions<Data extends object> {
  /** The store: `store.sessionsOf(userId)`. With the option `store`, that one. */
  readonly store: MemcacheStore
  readonly #settings: SessionSettings

  constructor(settings: SessionSettings<Request>) {
    this.#settings = settings as SessionSettings
    this.store = settings.store as MemcacheStore
  }

  /**
   * Opens the session of a request, or begins one, which is stored if something is put into it.
   *
   * @throws MemcacheError with `statusCode` 503 if memcached is down, unless `onCacheDown` says otherwise.
   */
  async open(request: Request): Promise<OpenedSession<Data>> {
    const { skip, secrets, cookie, isAvailable } = this.#settings
    const { path = '/' } = typeof cookie === 'function' ? cookie(request) : cookie
    const url = new URL(request.url)
    if (!isAvailable() || !isInPath(url.pathname, path) || skip?.(request) === true)
      return new OpenedSession<Data>(this.#settings)
    if (secrets === undefined) throw new MemcacheOptionError('secret option required for sessions')
    const opened = new OpenedSession<Data>(this.#settings)
    await opened.open(request, carrierOf(request, url))
    return opened
  }

  /**
   * Answers a request by a handler that is given its session, and commits that.
   *
   * @throws MemcacheError if the session cannot be read or stored; what the handler throws.
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
   * The session as it is now: another one after `regenerate` and `reload`, `undefined` after `destroy` and for requests
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
   * Stores what has changed, and returns the response with the cookie that it needs: the same one, or a copy where its
   * headers cannot be changed. What a body that is still streamed puts into the session afterwards needs a
   * `session.save()`.
   *
   * @throws MemcacheError if the session cannot be stored: then do not send the response. Commit the response of the
   *   error in its place: nothing more is stored, and it gets the cookie of a session that has been given a new id.
   */
  async commit(response: Response): Promise<Response> {
    const session = this.#request
    if (session === undefined) return response
    if (this.#isAbandoned) return withCookie(response, this.#cookieOfError)
    try {
      session.commit(true)
      if (session.isPending) await session.settle((error, kind) => this.#fail(error, kind))
      return withCookie(response, session.cookieToSend())
    } catch (error) {
      await this.abandon()
      throw withResponse(error, this.#cookieOfError)
    }
  }

  /**
   * Ends the locks of the session, and stores nothing more of it: for a request that has failed. The response of the
   * error can still be committed.
   */
  async abandon(): Promise<void> {
    const session = this.#request
    if (session === undefined || this.#isAbandoned) return
    this.#isAbandoned = true
    // A new id that nobody waits for is decided first.
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

/**
 * Gives the error of a session that is unavailable the response that Hono sends for it; other frameworks go by its
 * `statusCode`.
 */
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
    // `Response.error()`, which no client gets, cannot be copied.
    if (response.type === 'error') return response
    // Headers of a redirect, and of what fetch returned, cannot be changed.
    const copy = new Response(response.body, response)
    copy.headers.append('Set-Cookie', cookie)
    return copy
  }
}
