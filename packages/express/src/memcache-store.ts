import { Store } from 'express-session'
import type { Session, SessionData } from 'express-session'
import type { Request } from 'express'
import { checkOptions, MemcacheOptionError, SessionRepository, ttlToSeconds } from 'memcache-ts'
import type { Memcache, SessionSnapshot, Ttl } from 'memcache-ts'
import { cookieChanged } from './session-cookie.ts'
import { restoreExpires, sessionTtl } from './session-ttl.ts'

/** Options of a `MemcacheStore`. */
export interface MemcacheStoreOptions {
  /** How long a session without an end of its own is kept. Default 86 400: a day. */
  ttlSeconds?: Ttl | undefined
  /** The cache that they lie in. Default: this process's. */
  cache?: Memcache | undefined
}

const KNOWN = ['ttlSeconds', 'cache'] as const satisfies readonly (keyof MemcacheStoreOptions)[]
const DEFAULT_TTL_SECONDS = 86_400

/**
 * Sessions in memcached, for `express-session`. No write is lost: each is merged, by top-level key, with what parallel
 * requests wrote meanwhile. A destroyed session stays so.
 */
export class MemcacheStore extends Store {
  readonly #sessions: SessionRepository
  readonly #ttlSeconds: number
  /** What a request had read, by the data handed to express-session and by the session object made of it. */
  readonly #bases = new WeakMap<object, SessionSnapshot>()

  /** @throws MemcacheOptionError for an option that there is not. */
  constructor(options: MemcacheStoreOptions = {}) {
    super()
    checkOptions('MemcacheStore', options, KNOWN, {
      ttl: 'ttlSeconds',
      client: 'cache',
      prefix: 'the prefix of memcache()',
    })
    this.#ttlSeconds = Math.ceil(ttlToSeconds(options.ttlSeconds ?? DEFAULT_TTL_SECONDS))
    if (this.#ttlSeconds === Infinity) throw new MemcacheOptionError('a session must end: give ttlSeconds a number')
    this.#sessions = new SessionRepository(options.cache)
  }

  override get(id: string, callback: (error: unknown, session?: SessionData | null) => void): void {
    settle(this.#read(id), callback)
  }

  override set(id: string, session: SessionData, callback?: (error?: unknown) => void): void {
    settle(this.#write(id, session), callback)
  }

  override destroy(id: string, callback?: (error?: unknown) => void): void {
    settle(this.#sessions.destroy(id), callback)
  }

  override touch(id: string, session: SessionData, callback?: (error?: unknown) => void): void {
    settle(this.#touch(id, session), callback)
  }

  /** Makes the request's session, which remembers what it was made of. */
  override createSession(request: Request, data: SessionData): Session & SessionData {
    const base = this.#bases.get(data)
    const session = super.createSession(request, data)
    if (base !== undefined) this.#bases.set(session, base)
    return session
  }

  async #read(id: string): Promise<SessionData | undefined> {
    const found = await this.#sessions.read(id)
    if (found === undefined) return undefined
    // A copy: the request will change it, and the snapshot is what it started from.
    const data = structuredClone(found.data) as unknown as SessionData
    restoreExpires(data.cookie, found.ttlSeconds, Date.now())
    this.#bases.set(data, found)
    return data
  }

  async #write(id: string, session: SessionData): Promise<void> {
    const ttl = this.#ttlOf(session)
    if (ttl === undefined) return this.#sessions.destroy(id)
    const data = JSON.parse(JSON.stringify(session)) as Record<string, unknown>
    const written = await this.#sessions.write(id, data, this.#bases.get(session), ttl)
    if (written !== undefined) this.#bases.set(session, written)
  }

  async #touch(id: string, session: SessionData): Promise<void> {
    const base = this.#bases.get(session)
    // express-session compares sessions without their cookies, so that "remember me" alone comes here.
    if (base !== undefined && cookieChanged(base.data['cookie'], session.cookie)) return this.#write(id, session)
    const ttl = this.#ttlOf(session)
    if (ttl === undefined) await this.#sessions.destroy(id)
    else await this.#sessions.touch(id, ttl)
  }

  /** By the machine's time, which is express-session's: the cache's clock may be another. */
  #ttlOf(session: SessionData): Ttl | undefined {
    return sessionTtl(session.cookie, this.#ttlSeconds, Date.now())
  }
}

/** Hands a promise's outcome to a Node callback, outside of the promise: what the callback throws is its own. */
function settle<Value>(work: Promise<Value>, callback: ((error?: unknown, value?: never) => void) | undefined): void {
  const call = callback as ((error: unknown, value?: Value) => void) | undefined
  work.then(
    (value) => process.nextTick(() => call?.(null, value)),
    (error: unknown) => process.nextTick(() => call?.(error)),
  )
}
