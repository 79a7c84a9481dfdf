import { Cookie } from './cookie.ts'
import type { CookieData, CookieOptions } from './cookie.ts'
import type { CookieCarrier } from './id-cookie.ts'
import type { AnyResponse } from '../deferred/deferred-response.ts'
import type { SessionHolder } from './session.ts'

/** The default cookie of a session: safe from scripts, from other sites, and from plain HTTP. */
const DEFAULTS: CookieOptions = { httpOnly: true, sameSite: 'lax', secure: 'auto' }

/**
 * express-session's `originalMaxAge` shrinks by a millisecond if the clock ticks between two reads: that is not a
 * change.
 */
const SAME_MAX_AGE_MS = 1000

/** Returns the option `cookie` with the defaults of this package. */
export function sessionCookie<Request>(
  cookie: CookieOptions | ((request: Request) => CookieOptions) | undefined,
): CookieOptions | ((request: Request) => CookieOptions) {
  if (typeof cookie !== 'function') return withDefaults(DEFAULTS, cookie)
  return (request) => withDefaults(DEFAULTS, cookie(request))
}

/** Returns options merged with their defaults; an option with the value `undefined` counts as not given. */
function withDefaults<Options extends object>(defaults: Options, given: Options | undefined): Options {
  const stated = Object.entries(given ?? {}).filter(([, value]) => value !== undefined)
  return { ...defaults, ...(Object.fromEntries(stated) as Options) }
}

/** The attributes of a cookie that a request can change, besides its lifetime, as express-session stores them. */
const ATTRIBUTES = ['path', 'domain', 'httpOnly', 'secure', 'sameSite', 'priority', 'partitioned'] as const

/** A cookie of a session in use, or a stored one. */
type AnyCookie = Readonly<Partial<Record<(typeof ATTRIBUTES)[number] | 'originalMaxAge', unknown>>>

/**
 * Returns whether a request changed the cookie of its session. A new `expires` alone is no change: each use moves it.
 *
 * @param before the cookie as it was stored, without `undefined` values.
 */
export function cookieChanged(before: unknown, after: unknown): boolean {
  const was = (before ?? {}) as AnyCookie
  const is = (after ?? {}) as AnyCookie
  for (const name of ATTRIBUTES) if ((was[name] ?? undefined) !== (is[name] ?? undefined)) return true
  const [maxAgeBefore, maxAgeAfter] = [was.originalMaxAge, is.originalMaxAge]
  return typeof maxAgeBefore === 'number' && typeof maxAgeAfter === 'number'
    ? Math.abs(maxAgeBefore - maxAgeAfter) > SAME_MAX_AGE_MS
    : (maxAgeBefore ?? undefined) !== (maxAgeAfter ?? undefined)
}

/** The parts of a request that show whether it came over TLS. */
export interface ConnectionCarrier {
  readonly headers: {
    readonly 'x-forwarded-proto'?: string | string[] | undefined
    readonly forwarded?: string | undefined
  }
  /** Node's socket. */
  readonly socket?: object | null | undefined
  /** Whether the framework considers the connection secure; it takes trusted proxies into account. */
  readonly secure?: boolean | undefined
}

/** The parts of a request that are needed to find its session and to create its cookie. */
export type SessionCarrier = CookieCarrier & ConnectionCarrier

/** A request whose session is opened. */
export interface SessionedRequest {
  /** The object that has the headers and the connection. */
  readonly carrier: SessionCarrier
  /** The argument of the functions among the options. */
  readonly request: unknown
  /** The object that gets the property `session`: the request, or an object that stands for it. */
  readonly holder: SessionHolder
  /** The response in Node, or the signal of a request in the Fetch API, which shows whether the client has disconnected. */
  readonly connection?: AnyResponse | AbortSignal | undefined
}

/** Returns whether a request came over TLS, by express-session's rules for the option `proxy`. */
export function isSecure({ headers, socket, secure }: ConnectionCarrier, proxy: boolean | undefined): boolean {
  if ((socket as { encrypted?: boolean } | undefined)?.encrypted === true) return true
  if (proxy === false) return false
  if (proxy !== true) return secure === true
  const header = headers['x-forwarded-proto'] ?? ''
  return String(header).split(',', 1)[0]!.trim().toLowerCase() === 'https'
}

/** Creates the cookie of a new session from the options, for a request and its connection. */
export function newCookie(
  {
    cookie: option,
    proxy,
  }: { readonly cookie: CookieOptions | ((request: unknown) => CookieOptions); readonly proxy: boolean | undefined },
  request: unknown,
  carrier: ConnectionCarrier,
): Cookie {
  const options = typeof option === 'function' ? option(request) : option
  const cookie = new Cookie(options)
  const { secure, sameSite } = options as Partial<CookieData>
  if (secure === 'auto' || sameSite === 'auto') {
    const overTls = isSecure(carrier, proxy)
    if (secure === 'auto') cookie.secure = overTls
    if (sameSite === 'auto') cookie.sameSite = overTls ? 'none' : 'lax'
  }
  return cookie
}

let hasWarned = false

/** Warns once that a Secure cookie was not sent, because the connection is not known to use TLS. */
export function warnOfInsecureConnection({ headers }: ConnectionCarrier): void {
  if (hasWarned) return
  const isForwarded = headers['x-forwarded-proto'] !== undefined || headers.forwarded !== undefined
  hasWarned = true
  process.emitWarning(
    isForwarded
      ? "the session cookie was not sent: it is Secure, and the proxy that reports a TLS connection is not trusted. Let your framework trust it (Express: app.set('trust proxy', 1); Fastify: trustProxy), or set the option proxy: true of the sessions"
      : "the session cookie was not sent: it is Secure, and the connection does not use TLS. Use cookie.secure: 'auto'; or, if a proxy terminates TLS, let it send X-Forwarded-Proto and let your framework trust it (Express: app.set('trust proxy', 1); Fastify: trustProxy)",
    { code: 'MEMCACHE_SESSION_SECURE_COOKIE' },
  )
}
