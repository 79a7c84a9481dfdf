import { isUsageError } from '../engine/engine.ts'
import type { Memcache } from '../memcache.ts'
import { OutageLog } from './outage-log.ts'

/** Decides when a limiter continues without memcached, and reports it to the operator. */
export class Insurance {
  readonly #limiter: string
  readonly #instead: string

  /** @param instead what the limiter does in the meantime, for the log. */
  constructor(limiter: string, instead: string) {
    this.#limiter = limiter
    this.#instead = instead
  }

  /** Whether memcached is known to be away and this was reported, so that no request is sent. */
  isNeeded(cache: Memcache): boolean {
    return cache.isAway && OutageLog.of(cache).has(this.#limiter)
  }

  /** Records that memcached failed. @throws the error if it is a mistake of the caller. */
  note(cache: Memcache, error: unknown): void {
    if (isUsageError(error)) throw error
    this.noteAll(cache, error)
  }

  /** Records that memcached failed, even if the error is a mistake of the caller. */
  noteAll(cache: Memcache, error: unknown): void {
    OutageLog.of(cache).failed(this.#limiter, this.#instead, error)
  }
}
