import type { WireKey } from '../client-key.ts'
import type { ServerAddress } from '../server-address.ts'
import { oneAtATime } from './one-at-a-time.ts'
import type { Router } from './router.ts'

/**
 * The key's hash modulo the number of servers, as libmemcached has it by default (`one_at_a_time`): simple, and nearly
 * every key moves when a server is added. Weights mean nothing here.
 */
export class Modula implements Router {
  readonly #servers: number

  constructor(servers: readonly ServerAddress[]) {
    this.#servers = servers.length
  }

  serverOf(key: WireKey, attempt: number): number {
    return (oneAtATime(key) + attempt) % this.#servers
  }
}
