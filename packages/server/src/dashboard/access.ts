import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIPv4 } from 'node:net'

/** The cookie of a session, which begins when the token was given. It holds a random id and not the token. */
const COOKIE = 'memcache_ts_dashboard'
/** A header that neither a form nor another site can send without a CORS preflight. */
const ACTION_HEADER = 'x-memcache-ts-dashboard'
const SESSION_MS = 8 * 60 * 60 * 1000
const MAX_SESSIONS = 100
/** Wrong tokens of an address within a minute, after which all its tokens are refused. */
const MAX_FAILURES = 20
const FAILURE_WINDOW_MS = 60_000
const MAX_ADDRESSES = 1000

/** The result of checking a request's token or session. */
export type AccessStatus = 'authorized' | 'anonymous' | 'wrong' | 'throttled'

/** Decides by token and session what a request may read and do. */
export class Access {
  readonly #digest: Buffer | undefined
  readonly #sessions = new Map<string, number>()
  readonly #failures = new Map<string, { count: number; sinceMs: number }>()

  /** @param token opens the key browser and actions; `undefined` if the dashboard has neither. */
  constructor(token: string | undefined) {
    this.#digest = token === undefined ? undefined : digestOf(token)
  }

  get hasToken(): boolean {
    return this.#digest !== undefined
  }

  /** Checks the header `Authorization: Bearer <token>`, else the cookie. */
  statusOf(request: IncomingMessage): AccessStatus {
    if (this.#digest === undefined) return 'anonymous'
    const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
    if (token !== undefined) return this.check(token, request.socket.remoteAddress)
    const expiresAt = this.#sessions.get(sessionOf(request) ?? '')
    return expiresAt !== undefined && expiresAt > Date.now() ? 'authorized' : 'anonymous'
  }

  /** Compares a token in constant time. */
  check(token: string, address = ''): Exclude<AccessStatus, 'anonymous'> {
    const failures = this.#failures.get(address)
    const isRecent = failures !== undefined && Date.now() - failures.sinceMs < FAILURE_WINDOW_MS
    if (isRecent && failures.count >= MAX_FAILURES) return 'throttled'
    if (this.#digest !== undefined && timingSafeEqual(digestOf(token), this.#digest)) return 'authorized'
    if (isRecent) failures.count++
    else {
      if (this.#failures.size >= MAX_ADDRESSES) this.#failures.clear()
      this.#failures.set(address, { count: 1, sinceMs: Date.now() })
    }
    return 'wrong'
  }

  /**
   * Begins a session; returns its cookie. The cookie has no `Path`, so that it is for the folder that the dashboard is
   * mounted at.
   */
  begin(request: IncomingMessage): string {
    const id = randomBytes(32).toString('base64url')
    if (this.#sessions.size >= MAX_SESSIONS) this.#sessions.delete(this.#sessions.keys().next().value!)
    this.#sessions.set(id, Date.now() + SESSION_MS)
    const secure = 'encrypted' in request.socket ? '; Secure' : ''
    return `${COOKIE}=${id}; HttpOnly; SameSite=Strict; Max-Age=${SESSION_MS / 1000}${secure}`
  }

  /** Ends the session of a request; returns the cookie that removes it. */
  end(request: IncomingMessage): string {
    this.#sessions.delete(sessionOf(request) ?? '')
    return `${COOKIE}=; HttpOnly; SameSite=Strict; Max-Age=0`
  }
}

/**
 * Returns whether a request that changes something comes from the page itself, or from a program that is not a browser:
 * browsers state the origin of a request by `Sec-Fetch-Site` and `Origin`.
 */
export function isSameOrigin({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin'
  const { origin } = headers
  if (origin === undefined) return true
  return URL.canParse(origin) && new URL(origin).host === headers.host
}

/** Returns whether a request has the header that the page's own script adds, or the token itself. */
export function isDeliberate({ headers }: IncomingMessage): boolean {
  return headers[ACTION_HEADER] !== undefined || headers.authorization !== undefined
}

/** Returns whether an address is this machine's own. */
export function isLoopback(host: string): boolean {
  return (
    host === 'localhost' || host.endsWith('.localhost') || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
  )
}

/**
 * Returns the host of a `Host` header, without port and brackets. If another site's name resolves to this machine (DNS
 * rebinding), the header has that name.
 */
export function hostOf({ headers }: IncomingMessage): string {
  const [, bracketed, name] = /^(?:\[([^\]]+)\]|([^:]*))(?::\d+)?$/.exec(headers.host ?? '') ?? []
  return (bracketed ?? name ?? '').toLowerCase()
}

function sessionOf({ headers }: IncomingMessage): string | undefined {
  for (const pair of (headers.cookie ?? '').split(';')) {
    const [name, value] = pair.trim().split('=')
    if (name === COOKIE) return value
  }
  return undefined
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
