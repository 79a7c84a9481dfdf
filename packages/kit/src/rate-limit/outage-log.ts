import { coreOf } from '../memcache.ts'
import type { Memcache } from '../memcache.ts'

/** Where limits that have lost their server are noted, once a cache. */
const logs = new WeakMap<Memcache, OutageLog>()

/** Tells the operator when limits begin to go on without memcached, and when they are whole again: a line each, not one a call. */
export class OutageLog {
  readonly #cache: Memcache
  /** What is to be said when a server is back. */
  readonly #lost = new Map<string, Set<string>>()

  static of(cache: Memcache): OutageLog {
    let log = logs.get(cache)
    if (log === undefined) logs.set(cache, (log = new OutageLog(cache)))
    return log
  }

  private constructor(cache: Memcache) {
    this.#cache = cache
    coreOf(cache).outages.watch({
      over: (server) => this.#over(server),
      // Errors that named no server.
      back: () => this.#over(''),
    })
  }

  /** Whether it was said already that a limiter goes on without memcached. */
  has(limiter: string): boolean {
    for (const limiters of this.#lost.values()) if (limiters.has(limiter)) return true
    return false
  }

  /** Notes that a limiter went on without memcached. */
  failed(limiter: string, instead: string, error: unknown): void {
    this.#cache.failed(error)
    const { server = '', message } = error as { server?: string; message: string }
    const limiters = this.#lost.get(server) ?? new Set()
    this.#lost.set(server, limiters)
    if (limiters.has(limiter)) return
    limiters.add(limiter)
    this.#cache.warn(`memcache-ts: the rate limit '${limiter}' is ${instead} while memcached is away: ${message}`)
  }

  #over(server: string): void {
    const limiters = this.#lost.get(server)
    this.#lost.delete(server)
    for (const limiter of limiters ?? []) {
      this.#cache.info(
        `memcache-ts: the rate limit '${limiter}' is counted by memcached again${server === '' ? '' : `: ${server}`}`,
      )
    }
  }
}
