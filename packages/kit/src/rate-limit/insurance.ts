import { isUsageError } from '../engine/engine.ts'
import type { Memcache } from '../memcache.ts'
import { OutageLog } from './outage-log.ts'

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
