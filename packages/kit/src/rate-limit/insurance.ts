import { engineOf, isUsageError } from '../engine/engine.ts'
import type { CacheHost } from '../engine/engine.ts'
import type { Memcache } from '../memcache.ts'

/** Decides when a limiter goes on without memcached, and has the operator told. */
export class Insurance {
  readonly #limiter: string
  readonly #instead: string

  /** @param instead what the limiter does meanwhile, for the log. */
  constructor(limiter: string, instead: string) {
    this.#limiter = limiter
    this.#instead = instead
  }

  /** Whether memcached need not be asked: it is known to be away, and that was said. */
  isNeeded(cache: Memcache): boolean {
    return cache.isAway && OutageLog.of(cache).has(this.#limiter)
  }

  /** Notes that memcached failed. @throws what is the caller's mistake. */
  note(cache: Memcache, error: unknown): void {
    if (isUsageError(error)) throw error
    this.noteAll(cache, error)
  }

  /** Notes that memcached failed, whoever's mistake it is. */
  noteAll(cache: Memcache, error: unknown): void {
    OutageLog.of(cache).failed(this.#limiter, this.#instead, error)
  }
}

/** Where limits that have lost their server are noted, once a cache. */
const logs = new WeakMap<Memcache, OutageLog>()

/**
 * Tells the operator when limits begin to go on without memcached, and when they are whole again: a line each, not one
 * a call.
 */
class OutageLog {
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
