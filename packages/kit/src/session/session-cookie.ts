import type { CookieOptions } from './cookie.ts'

/** The default cookie of a session: safe from scripts, from other sites, and from plain HTTP. */
const DEFAULTS: CookieOptions = { httpOnly: true, sameSite: 'lax', secure: 'auto' }

/** A clock's tick between two readings shortens express-session's `originalMaxAge` by a millisecond: that is no change. */
const SAME_MAX_AGE_MS = 1000

/** The `cookie` option, with our defaults in it. */
export function sessionCookie<Request>(
  cookie: CookieOptions | ((request: Request) => CookieOptions) | undefined,
): CookieOptions | ((request: Request) => CookieOptions) {
  if (typeof cookie !== 'function') return withDefaults(DEFAULTS, cookie)
  return (request) => withDefaults(DEFAULTS, cookie(request))
}

/** Options over their defaults; an option that is `undefined` was not given. */
function withDefaults<Options extends object>(defaults: Options, given: Options | undefined): Options {
  const stated = Object.entries(given ?? {}).filter(([, value]) => value !== undefined)
  return { ...defaults, ...(Object.fromEntries(stated) as Options) }
}

/** The attributes of a cookie that a request can change, besides its lifetime, as express-session stores them. */
const ATTRIBUTES = ['path', 'domain', 'httpOnly', 'secure', 'sameSite', 'priority', 'partitioned'] as const

/** A cookie, as a session has it or as it was stored. */
type AnyCookie = Readonly<Partial<Record<(typeof ATTRIBUTES)[number] | 'originalMaxAge', unknown>>>

/**
 * Whether a request changed the cookie of its session otherwise than by using it, which moves `expires` alone.
 *
 * @param before the cookie as it was stored, in which nothing is `undefined`.
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
