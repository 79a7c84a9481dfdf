import type { WireKey } from '../client-key.ts'
import type { ServerAddress } from '../server-address.ts'
import { Continuum } from './continuum.ts'
import { md5 } from './md5.ts'
import type { Router } from './router.ts'
import { libmemcachedName } from './server-name.ts'
import type { SocketName } from './server-name.ts'

const POINTS_PER_SERVER = 160
const POINTS_PER_HASH = 4

/**
 * Consistent hashing as libmemcached's weighted ketama has it (libmemcached/hosts.cc, update_continuum), so that
 * clients of other languages find the same keys on the same servers.
 */
export class Ketama implements Router {
  readonly #continuum: Continuum

  /** @param nameOf what a server is called where it is hashed. */
  constructor(servers: readonly ServerAddress[], socketName: SocketName, nameOf = libmemcachedName) {
    const totalWeight = servers.reduce((sum, server) => sum + server.weight, 0)
    const points: { point: number; server: number }[] = []
    for (const [index, server] of servers.entries()) {
      // libmemcached counts in floats of 32 bits, and the sum of the points shows it.
      const share = Math.fround(server.weight / totalWeight)
      const perHash = Math.fround(Math.fround(share * POINTS_PER_SERVER) / POINTS_PER_HASH)
      const hashes = Math.floor(Math.fround(Math.fround(perHash * servers.length) + 1e-10))
      const name = nameOf(server, socketName)
      for (let hash = 0; hash < hashes; hash++) {
        const digest = md5(`${name}-${hash}`)
        for (let part = 0; part < POINTS_PER_HASH; part++) points.push({ point: digest[part]! >>> 0, server: index })
      }
    }
    this.#continuum = new Continuum(points)
  }

  serverOf(key: WireKey, attempt: number): number {
    return this.#continuum.serverAt(md5(key)[0]! >>> 0, attempt)
  }
}
