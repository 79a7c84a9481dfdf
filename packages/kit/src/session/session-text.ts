import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { SessionData } from './session-merge.ts'

/**
 * A session without its cookie, as JSON: it tells whether a request has changed the session.
 *
 * @throws MemcacheOptionError for what cannot be JSON.
 */
export function textOf(session: object): string {
  const data: Record<string, unknown> = {}
  for (const key of Object.keys(session)) if (key !== 'cookie') define(data, key, (session as SessionData)[key])
  return toJson(data)
}

/** @throws MemcacheOptionError for what cannot be JSON. */
export function toJson(data: object): string {
  try {
    return JSON.stringify(data)
  } catch (cause) {
    const reason = (cause as Error).message.split('\n', 1)[0]!
    throw new MemcacheOptionError(`the session cannot be stored: it has to be JSON (${reason})`, { cause })
  }
}

/** A session as JSON at one moment, whatever becomes of its data; its cookie is turned into text when it is needed. */
export class SessionText {
  /** The session without its cookie. */
  readonly withoutCookie: string
  readonly #cookie: unknown
  #whole: string | undefined

  private constructor(withoutCookie: string, cookie: unknown, whole: string | undefined) {
    this.withoutCookie = withoutCookie
    this.#cookie = cookie
    this.#whole = whole
  }

  /** @param data whose `cookie` nobody changes: readers have to be given a copy of it. */
  static of(data: SessionData): SessionText {
    return new SessionText(textOf(data), data['cookie'], undefined)
  }

  /** @param whole JSON, as it is stored. */
  static ofJson(whole: string): SessionText {
    return new SessionText('', undefined, whole)
  }

  /** All of the session. */
  get whole(): string {
    return (this.#whole ??= this.#join())
  }

  #join(): string {
    const cookie = JSON.stringify(this.#cookie)
    if (cookie === undefined) return this.withoutCookie
    const separator = this.withoutCookie === '{}' ? '' : ','
    return `{"cookie":${cookie}${separator}${this.withoutCookie.slice(1)}`
  }
}

/** Sets a property; assigned, `__proto__` would be none. */
function define(data: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') data[key] = value
  else Object.defineProperty(data, key, { value, configurable: true, enumerable: true, writable: true })
}
