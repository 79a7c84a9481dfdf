import type { MemcachedClient } from 'memcache-ts-client'
import type { Logger } from '../logger.ts'
import type { CacheReport } from './cache-report.ts'

/**
 * Which servers are away. The client itself is the circuit breaker, one a server: after the first operation that was not
 * answered in time all others fail at once, and in the background one attempt at a time is made until the server answers.
 * Here it is told to those who want to know.
 */
export class ServerHealth {
  readonly #client: MemcachedClient
  readonly #report: CacheReport
  readonly #down = new Set<string>()
  #isAway = false

  constructor(client: MemcachedClient, report: CacheReport, logger: Logger) {
    this.#client = client
    this.#report = report
    client.on('eject', (server, error) => {
      this.#down.add(server)
      logger.warn(`memcache-ts: going on without the cache: ${error.message}`)
      report.degraded(error)
      if (this.isAllDown) this.#away(error)
    })
    client.on('rejoin', (server) => {
      this.#down.delete(server)
      logger.info(`memcache-ts: the cache works again: ${server}`)
      report.recovered(server)
      this.#back(server)
    })
    client.on('servers', (servers) => {
      for (const server of this.#down) if (!servers.includes(server)) this.#down.delete(server)
      const up = servers.find((server) => !this.#down.has(server))
      if (up !== undefined) this.#back(up)
    })
  }

  #away(error: unknown): void {
    if (this.#isAway) return
    this.#isAway = true
    this.#report.away(error)
  }

  #back(server: string): void {
    if (!this.#isAway) return
    this.#isAway = false
    this.#report.back(server)
  }

  get isSomeDown(): boolean {
    return this.#down.size > 0
  }

  get isAllDown(): boolean {
    return this.#down.size > 0 && this.#down.size >= this.#client.servers.length
  }
}
