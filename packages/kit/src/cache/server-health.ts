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
  readonly #down = new Set<string>()

  constructor(client: MemcachedClient, report: CacheReport, logger: Logger) {
    this.#client = client
    client.on('eject', (server, error) => {
      this.#down.add(server)
      logger.warn(`memcache-ts: going on without the cache: ${error.message}`)
      report.degraded(error)
    })
    client.on('rejoin', (server) => {
      this.#down.delete(server)
      logger.info(`memcache-ts: the cache works again: ${server}`)
      report.recovered(server)
    })
    client.on('servers', (servers) => {
      for (const server of this.#down) if (!servers.includes(server)) this.#down.delete(server)
    })
  }

  get isSomeDown(): boolean {
    return this.#down.size > 0
  }

  get isAllDown(): boolean {
    return this.#down.size > 0 && this.#down.size >= this.#client.servers.length
  }
}
