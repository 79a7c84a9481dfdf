import { engineOf } from '../engine/engine.ts'
import type { CacheHost } from '../engine/engine.ts'
import type { Memcache } from '../memcache.ts'

/** Where limits that have lost their server are noted, once a cache. */
const logs = new WeakMap<Memcache, OutageLog>()

/**
 * Tells the operator when limits begin to go on without memcached, and when they are whole again: a line each, not one
 * a call.
 */
export class OutageLog {
  readonly #host: CacheHost
  /** What is to be said when a server is back. */
  readonly #lost = new Map<string, Set<string>>()

  static of(cache: Memcache): OutageLog {
    let log = logs.get(cache)
    if (log === undefined) logs.set(cache, (log = new OutageLog(engineOf(cache).host)))
    return log
  }

  private constructor(host: CacheHost) {
    this.#host = host
    host.health.watch({
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
    this.#host.report.failed(error)
    const { server = '', message } = error as { server?: string; message: string }
    const limiters = this.#lost.get(server) ?? new Set()
    this.#lost.set(server, limiters)
    if (limiters.has(limiter)) return
    limiters.add(limiter)
    this.#host.log.warn(`memcache-ts: the rate limit '${limiter}' is ${instead} while memcached is away: ${message}`)
  }

  #over(server: string): void {
    const limiters = this.#lost.get(server)
    this.#lost.delete(server)
    for (const limiter of limiters ?? []) {
      this.#host.log.info(
        `memcache-ts: the rate limit '${limiter}' is counted by memcached again${server === '' ? '' : `: ${server}`}`,
      )
    }
  }
}
