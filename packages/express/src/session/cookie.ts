import { stringifySetCookie } from 'cookie'
import type { SerializeOptions } from 'cookie'
import type { CookieOptions } from 'express-session'

/** What is stored of a cookie, and what its `Set-Cookie` is made of. */
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
        if (key !== 'data') (this as Record<string, unknown>)[key] = (options as Record<string, unknown>)[key]
      }
    }
    this.originalMaxAge ??= this.maxAge
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
