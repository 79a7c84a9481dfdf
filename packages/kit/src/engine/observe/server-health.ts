import { reportUncaught } from 'memcache-ts-client'
import type { MemcachedClient } from 'memcache-ts-client'
import type { Logger } from '../../logger.ts'
import type { CacheHealth } from '../engine.ts'
import type { CacheReport } from './cache-report.ts'

/**
 * The health of a cache's servers: `up` if all of them respond; `degraded` if some do not, or invalidations are still
 * pending; `down` if no server responds, so that the application continues without a cache.
 */
export type MemcacheHealth = 'up' | 'degraded' | 'down'

/** Is notified of the outages of a cache, before the cache's events are emitted. */
export interface OutageListener {
  /** Called when no server responds any more. */
  away?(error: unknown): void
  /** Called after `away`, when a server responds again, or the list of servers has a new server. */
  back?(server: string): void
  /** Called when a server that had failed responds again, or was removed from the list of servers. */
  over?(server: string): void
}

/**
 * Tracks which servers are away; everything that depends on an outage uses this one source. The client is the circuit
 * breaker, one per server: after the first operation that timed out all others fail immediately, and the client tries
 * to reconnect in the background, one attempt at a time, until the server responds.
 */
export class ServerHealth implements CacheHealth {
  readonly #client: MemcachedClient
  readonly #report: CacheReport
  readonly #isCatchingUp: () => boolean
  readonly #listeners = new Set<OutageListener>()
  readonly #down = new Map<string, unknown>()
  #isAway = false
  #isClosed = false

  /** @param isCatchingUp returns whether invalidations that a server missed are still pending. */
  constructor(
    client: MemcachedClient,
    { log, report, isCatchingUp }: { log: Logger; report: CacheReport; isCatchingUp: () => boolean },
  ) {
    this.#client = client
    this.#report = report
    this.#isCatchingUp = isCatchingUp
    client.on('eject', (server, error) => {
      if (this.#isClosed) return
      this.#down.set(server, error)
      log.warn(`memcache-ts: continuing without the cache: ${error.message}`)
      report.degraded(error)
      this.#settle()
    })
    client.on('rejoin', (server) => {
      if (this.#isClosed) return
      this.#down.delete(server)
      log.info(`memcache-ts: the cache works again: ${server}`)
      report.recovered(server)
      this.#notify('over', server)
      this.#settle()
    })
    client.on('discoveryError', (error) => {
      // The servers known so far still respond: this is no outage.
      if (!this.#isClosed) log.warn(`memcache-ts: the list of servers may be outdated: ${error.message}`)
    })
    client.on('servers', (servers) => {
      if (this.#isClosed) return
      for (const server of this.#down.keys()) {
        if (servers.includes(server)) continue
        this.#down.delete(server)
        this.#notify('over', server)
      }
      this.#settle()
    })
  }

  get state(): MemcacheHealth {
    if (this.#isAway) return 'down'
    return this.#down.size > 0 || this.#isCatchingUp() ? 'degraded' : 'up'
  }

  /** Notifies a listener of outages from now on, and immediately if an outage is in progress. */
  watch(listener: OutageListener): void {
    this.#listeners.add(listener)
    if (this.#isAway) listener.away?.(this.#down.values().next().value)
  }

  /** Stops all notifications: a closed cache neither goes away nor comes back. */
  close(): void {
    this.#isClosed = true
    this.#listeners.clear()
  }

  /** Reports when the last server has failed, and when the first one is back. */
  #settle(): void {
    const { servers } = this.#client
    const up = servers.find((server) => !this.#down.has(server))
    const isAway = servers.length > 0 && up === undefined
    if (isAway === this.#isAway) return
    this.#isAway = isAway
    if (isAway) {
      const error = this.#down.values().next().value
      this.#notify('away', error)
      this.#report.away(error)
    } else {
      this.#notify('back', up ?? '')
      this.#report.back(up ?? '')
    }
  }

  #notify(name: 'back' | 'over', server: string): void
  #notify(name: 'away', error: unknown): void
  #notify(name: keyof OutageListener, detail: unknown): void {
    for (const listener of this.#listeners) {
      try {
        listener[name]?.(detail as string)
      } catch (error) {
        // As with events, a listener that throws does not disturb the others.
        reportUncaught(error)
      }
    }
  }
}
