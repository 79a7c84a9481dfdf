import { engineOf, isUsageError } from '../engine/engine.ts'
import type { CacheHost } from '../engine/engine.ts'
import type { Memcache } from '../memcache.ts'

/** Decides when a limiter continues without memcached, and reports it to the operator. */
export class Insurance {
  readonly #limiter: string
  readonly #instead: string

  /** @param instead the limiter's behaviour in the meantime, for the log. */
  constructor(limiter: string, instead: string) {
    this.#limiter = limiter
    this.#instead = instead
  }

  /** Returns whether memcached is known to be away and this was reported, so that no request is sent. */
  isNeeded(cache: Memcache): boolean {
    return cache.isAway && OutageLog.of(cache).has(this.#limiter)
  }

  /**
   * Records that memcached failed.
   *
   * @throws the error if it is a mistake of the caller.
   */
  note(cache: Memcache, error: unknown): void {
    if (isUsageError(error)) throw error
    this.noteAll(cache, error)
  }

  /** Records that memcached failed, even if the error is a mistake of the caller. */
  noteAll(cache: Memcache, error: unknown): void {
    OutageLog.of(cache).failed(this.#limiter, this.#instead, error)
  }
}

/** The log of each cache. */
const logs = new WeakMap<Memcache, OutageLog>()

/** Logs one line when limits continue without memcached, and one line when memcached counts again. */
class OutageLog {
  readonly #host: CacheHost
  /** The limiters to report when a server is back, by server. */
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
      // Errors without a server.
      back: () => this.#over(''),
    })
  }

  /** Returns whether it was logged that a limiter continues without memcached. */
  has(limiter: string): boolean {
    for (const limiters of this.#lost.values()) if (limiters.has(limiter)) return true
    return false
  }

  /** Records that a limiter continued without memcached. */
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
