import { stringifySetCookie } from 'cookie'
import type { SerializeOptions } from 'cookie'

/** Options of a session's cookie, as express-session has them. */
export interface CookieOptions {
  /** For how many milliseconds the cookie lives. Default: until the browser ends. */
  maxAge?: number | undefined
  /** When the cookie ends; `maxAge` is the better choice. */
  expires?: Date | null | undefined
  signed?: boolean | undefined
  httpOnly?: boolean | undefined
  path?: string | undefined
  domain?: string | undefined
  /** `auto`: if the connection is. */
  secure?: boolean | 'auto' | undefined
  encode?: ((value: string) => string) | undefined
  sameSite?: boolean | 'lax' | 'strict' | 'none' | undefined
  partitioned?: boolean | undefined
  priority?: 'low' | 'medium' | 'high' | undefined
}

/** The attributes of a cookie that are stored, and from which its `Set-Cookie` is made. */
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

/** The cookie of a session, as express-session has it: `maxAge` and `expires` are two views of one moment. */
export class Cookie implements Partial<CookieData> {
  path: string | undefined = '/'
  /** `undefined` is possible where `expires` was given so. */
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
      if (typeof options !== 'object') throw new TypeError('argument options must be a object')
      for (const key in options) {
        // Something may have added properties to `Object.prototype`.
        if (key in Object.prototype && !Object.hasOwn(options, key)) continue
        if (key !== 'data') (this as Record<string, unknown>)[key] = (options as Record<string, unknown>)[key]
      }
    }
    this.originalMaxAge ??= this.maxAge
  }

  /** The cookie of what is stored: `expires` and `originalMaxAge` as they are there, whichever comes first. */
  static ofStored(stored: Record<string, unknown>): Cookie {
    const cookie = new Cookie()
    for (const key of Object.keys(stored)) {
      const value = stored[key]
      // A moment as JSON has it.
      if (key === 'expires')
        cookie._expires = (typeof value === 'string' ? new Date(value) : value) as Cookie['expires']
      else if (key !== 'data') (cookie as unknown as Record<string, unknown>)[key] = value
    }
    cookie.originalMaxAge = stored['originalMaxAge'] as Cookie['originalMaxAge']
    return cookie
  }

  /** When the cookie ends; null: with the browser. */
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

  /** @throws TypeError for what is neither a number nor a date. */
  set maxAge(ms: number | Date | null | undefined) {
    if (ms && typeof ms !== 'number' && !(ms instanceof Date)) throw new TypeError('maxAge must be a number or Date')
    this.expires = typeof ms === 'number' ? new Date(Date.now() + ms) : ms
  }

  get data(): CookieData {
    const { originalMaxAge, partitioned, priority, _expires, secure, httpOnly, domain, path, sameSite } = this
    return { originalMaxAge, partitioned, priority, expires: _expires, secure, httpOnly, domain, path, sameSite }
  }

  /** The `Set-Cookie` of this cookie with a name and a value. */
  serialize(name: string, value: string): string {
    return serializeCookie(name, value, this.data)
  }

  toJSON(): CookieData {
    return this.data
  }
}

/** A `Set-Cookie`. @throws TypeError for an attribute that no cookie can have. */
export function serializeCookie(name: string, value: string, data: Partial<CookieData>): string {
  const { originalMaxAge: _, ...attributes } = data
  const { expires } = attributes
  if (expires instanceof Date && Number.isNaN(expires.valueOf())) throw new TypeError('option expires is invalid')
  return stringifySetCookie(name, value, attributes as SerializeOptions)
}

/**
 * Whether a cookie of a path would be sent with a request. @param target the request's target, with its query or
 * without.
 */
export function isInPath(target: string, path: string): boolean {
  const url = target || '/'
  if (path === '/' && url.startsWith('/')) return true
  return pathOf(url).startsWith(path || '/')
}

/** The path of a request's target, which may be absolute (RFC 9112 section 3.2.2). */
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
