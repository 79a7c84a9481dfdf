import type { WireKey } from '../client-key.ts'
import type { ServerAddress } from '../server-address.ts'
import type { Router } from './router.ts'

/**
 * The key's hash modulo the number of servers, like libmemcached's default (`one_at_a_time`). Nearly every key moves
 * when a server is added. Weights are ignored.
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

/** Bob Jenkins's one-at-a-time hash of a key's bytes, unsigned (burtleburtle.net/bob/hash/doobs.html). */
function oneAtATime(key: WireKey): number {
  const bytes = typeof key === 'string' ? Buffer.from(key) : key
  let hash = 0
  for (const byte of bytes) {
    // libmemcached reads signed characters.
    hash = (hash + ((byte << 24) >> 24)) | 0
    hash = (hash + (hash << 10)) | 0
    hash ^= hash >>> 6
  }
  hash = (hash + (hash << 3)) | 0
  hash ^= hash >>> 11
  hash = (hash + (hash << 15)) | 0
  return hash >>> 0
}
