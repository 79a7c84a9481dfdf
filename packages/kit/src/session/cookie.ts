import { stringifySetCookie } from 'cookie'
import type { SerializeOptions } from 'cookie'

/** Options of a session's cookie, as express-session has them. */
export interface CookieOptions {
  /** The lifetime of the cookie in milliseconds. Default: until the browser is closed. */
  maxAge?: number | undefined
  /** The time when the cookie expires. Prefer `maxAge`: its end moves with each request. */
  expires?: Date | null | undefined
  signed?: boolean | undefined
  httpOnly?: boolean | undefined
  path?: string | undefined
  domain?: string | undefined
  /** Send the cookie over TLS only. `auto`: if the request came over TLS. */
  secure?: boolean | 'auto' | undefined
  encode?: ((value: string) => string) | undefined
  sameSite?: boolean | 'lax' | 'strict' | 'none' | undefined
  partitioned?: boolean | undefined
  priority?: 'low' | 'medium' | 'high' | undefined
}

/** The attributes of a cookie: they are stored, and its `Set-Cookie` is made from them. */
export interface CookieData {
  originalMaxAge: number | null | undefined
  partitioned: boolean | undefined
  priority: CookieOptions['priority']
  expires: Date | null | undefined
  secure: CookieOptions['secure']
  httpOnly: boolean | undefined
  domain: string | undefined
  path: string | undefined
  sameSite: CookieOptions['sameSite'] | 'auto'
}

/** The cookie of a session, as express-session has it: `maxAge` and `expires` describe the same time. */
export class Cookie implements Partial<CookieData> {
  path: string | undefined = '/'
  /** The value of `expires`; `undefined` if it was set to `undefined`. */
  _expires: Date | null | undefined = null
  originalMaxAge: number | null | undefined
  httpOnly: boolean | undefined = true
  declare partitioned: boolean | undefined
  declare priority: CookieOptions['priority']
  declare secure: CookieOptions['secure']
  declare domain: string | undefined
  declare sameSite: CookieData['sameSite']

  constructor(options?: object) {
    if (options !== undefined && options !== null) {
      if (typeof options !== 'object') throw new TypeError('argument options must be an object')
      for (const key in options) {
        // Something may have added properties to `Object.prototype`.
        if (key in Object.prototype && !Object.hasOwn(options, key)) continue
        if (key !== 'data') (this as Record<string, unknown>)[key] = (options as Record<string, unknown>)[key]
      }
    }
    this.originalMaxAge ??= this.maxAge
  }

  /**
   * Returns the cookie of a stored session. `expires` and `originalMaxAge` are copied as stored, in any order of the
   * properties.
   */
  static ofStored(stored: Record<string, unknown>): Cookie {
    const cookie = new Cookie()
    for (const key of Object.keys(stored)) {
      const value = stored[key]
      // JSON has dates as strings.
      if (key === 'expires')
        cookie._expires = (typeof value === 'string' ? new Date(value) : value) as Cookie['expires']
      else if (key !== 'data') (cookie as unknown as Record<string, unknown>)[key] = value
    }
    cookie.originalMaxAge = stored['originalMaxAge'] as Cookie['originalMaxAge']
    return cookie
  }

  /** The time when the cookie expires; null if it lasts until the browser is closed. */
  get expires(): Date | null | undefined {
    return this._expires
  }

  set expires(date: Date | null | undefined) {
    this._expires = date
    this.originalMaxAge = this.maxAge
  }

  /** The milliseconds until `expires`. */
  get maxAge(): number | null | undefined {
    const expires: unknown = this._expires
    return expires instanceof Date ? expires.valueOf() - Date.now() : (expires as null | undefined)
  }

  /** @throws TypeError if the value is neither a number nor a date. */
  set maxAge(ms: number | Date | null | undefined) {
    if (ms && typeof ms !== 'number' && !(ms instanceof Date)) throw new TypeError('maxAge must be a number or Date')
    this.expires = typeof ms === 'number' ? new Date(Date.now() + ms) : ms
  }

  get data(): CookieData {
    const { originalMaxAge, partitioned, priority, _expires, secure, httpOnly, domain, path, sameSite } = this
    return { originalMaxAge, partitioned, priority, expires: _expires, secure, httpOnly, domain, path, sameSite }
  }

  /** Returns the `Set-Cookie` field of this cookie with a name and a value. */
  serialize(name: string, value: string): string {
    return serializeCookie(name, value, this.data)
  }

  toJSON(): CookieData {
    return this.data
  }
}

/**
 * Returns a `Set-Cookie` field.
 *
 * @throws TypeError if an attribute is invalid.
 */
export function serializeCookie(name: string, value: string, data: Partial<CookieData>): string {
  const { originalMaxAge: _, ...attributes } = data
  const { expires } = attributes
  if (expires instanceof Date && Number.isNaN(expires.valueOf())) throw new TypeError('option expires is invalid')
  return stringifySetCookie(name, value, attributes as SerializeOptions)
}

/**
 * Returns whether a browser sends a cookie with this path in a request.
 *
 * @param target the request's target, with or without its query.
 */
export function isInPath(target: string, path: string): boolean {
  const url = target || '/'
  if (path === '/' && url.startsWith('/')) return true
  return pathOf(url).startsWith(path || '/')
}

/** Returns the path of a request's target, which may be absolute (RFC 9112 section 3.2.2). */
function pathOf(url: string): string {
  if (!url.startsWith('/')) {
    try {
      return new URL(url).pathname
    } catch {
      return url
    }
  }
  const query = url.indexOf('?')
  return query === -1 ? url : url.slice(0, query)
}
