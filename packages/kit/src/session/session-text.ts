import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { SessionData } from './session-merge.ts'

/**
 * Returns a session without its cookie as JSON; a comparison shows whether a request has changed the session.
 *
 * @throws MemcacheOptionError if the session cannot be JSON.
 */
export function textOf(session: object): string {
  const data: Record<string, unknown> = {}
  for (const key of Object.keys(session)) if (key !== 'cookie') define(data, key, (session as SessionData)[key])
  return toJson(data)
}

/** @throws MemcacheOptionError if the session cannot be JSON. */
export function toJson(data: object): string {
  try {
    return JSON.stringify(data)
  } catch (cause) {
    const reason = (cause as Error).message.split('\n', 1)[0]!
    throw new MemcacheOptionError(`the session cannot be stored as JSON (${reason}): put only plain data into it`, {
      cause,
    })
  }
}

/**
 * A session as JSON at one point in time, independent of later changes. Its cookie is turned into text when that is
 * needed.
 */
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

  /** @param data a session whose `cookie` must not be changed afterwards: readers get a copy of it. */
  static of(data: SessionData): SessionText {
    return new SessionText(textOf(data), data['cookie'], undefined)
  }

  /** @param whole the session as stored JSON. */
  static ofJson(whole: string): SessionText {
    return new SessionText('', undefined, whole)
  }

  /** The whole session as JSON. */
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

/** Sets a property; an assignment to `__proto__` would set the prototype instead. */
function define(data: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') data[key] = value
  else Object.defineProperty(data, key, { value, configurable: true, enumerable: true, writable: true })
}
