import type { NextFunction, Request } from 'express'
import { MemcacheError, MemcacheOptionError } from 'memcache-ts'
import type { HeldWrite } from './held-store.ts'

/**
 * What becomes of a request while memcached does not answer:
 *
 *   error      one whose session cannot be read, or what it changed be saved, is an error: nobody is logged out in silence
 *   anonymous  it goes on with an empty session that is not kept, and leaves the visitor's cookie alone
 *   skip       it goes on without `req.session`, as express-session has it for a store that is disconnected
 */
export type OnCacheDown = 'error' | 'anonymous' | 'skip'

const CHOICES: readonly string[] = ['error', 'anonymous', 'skip'] satisfies readonly OnCacheDown[]
const WARN_EVERY_MS = 60_000

/** The errors of a cache that is away or broken, rather than of what it was asked. */
const DOWN: readonly string[] = [
  'ERR_MEMCACHE_CONNECTION',
  'ERR_MEMCACHE_TIMEOUT',
  'ERR_MEMCACHE_QUEUE',
  'ERR_MEMCACHE_AUTH',
  'ERR_MEMCACHE_SERVER',
  'ERR_MEMCACHE_PROTOCOL',
]

/** Goes by `onCacheDown`. */
export class CacheDown {
  readonly #choice: OnCacheDown
  readonly #warn: (message: string) => void
  #warnedAt = -Infinity

  /** @throws MemcacheOptionError for a choice that there is not. */
  constructor(choice: OnCacheDown, warn: (message: string) => void) {
    if (!CHOICES.includes(choice)) {
      throw new MemcacheOptionError(`onCacheDown must be 'error', 'anonymous' or 'skip', got '${choice}'`)
    }
    this.#choice = choice
    this.#warn = warn
  }

  /** Goes on with a request whose session could not be read. */
  unread(error: unknown, request: Request, next: NextFunction): void {
    if (this.#choice === 'error' || !isDown(error)) return next(error)
    if (this.#choice === 'anonymous') {
      request.sessionStore.generate(request)
      keepNothingOf(request, error)
    }
    withoutCookie(request)
    next()
  }

  /** Whether the response goes out although this was not written. */
  forgives(error: unknown, kind: HeldWrite['kind']): boolean {
    if (!isDown(error)) return false
    if (kind === 'renewal') return true
    // Who logs out and stays logged in has to be told.
    if (this.#choice === 'error' || kind === 'destroy') return false
    const now = performance.now()
    if (now - this.#warnedAt > WARN_EVERY_MS) {
      this.#warnedAt = now
      this.#warn(
        `memcache-ts: what requests write to their sessions is dropped (onCacheDown: '${this.#choice}'): ${(error as Error).message}`,
      )
    }
    return true
  }
}

/** Has express-session neither save a request's session nor send its cookie: it does so for one whose id is none. */
export function withoutCookie(request: Request): void {
  ;(request as { sessionID?: string | undefined }).sessionID = undefined
}

/** The session of a visitor whose own could not be read: who wants to save it is told that it cannot be. */
function keepNothingOf({ session }: Request, error: unknown): void {
  const fail = (callback?: (error: unknown) => void) => {
    if (callback !== undefined) process.nextTick(callback, error)
    return session
  }
  for (const method of ['save', 'reload']) {
    Object.defineProperty(session, method, { value: fail, configurable: true, enumerable: false, writable: true })
  }
}

function isDown(error: unknown): boolean {
  return error instanceof MemcacheError && DOWN.includes(error.code)
}
