import type { WireKey } from '../operations/operation.ts'
import type { ServerAddress } from '../server-address.ts'
import { Continuum } from './continuum.ts'
import { md5 } from './md5.ts'
import type { Router } from './router.ts'

const HASHES_PER_SERVER = 40
const POINTS_PER_HASH = 4

/**
 * Consistent hashing as spymemcached has it, and libmemcached as its `consistent_ketama_spy`: the same number of points for
 * every server whatever its weight, of the name `/host:port-index`.
 */
export class SpyKetama implements Router {
  readonly #continuum: Continuum

  constructor(servers: readonly ServerAddress[]) {
    const points = servers.flatMap(({ host, port, name }, server) =>
      Array.from({ length: HASHES_PER_SERVER }, (_, index) => {
        const digest = md5(`/${host === undefined ? name : `${host}:${port}`}-${index}`)
        return Array.from({ length: POINTS_PER_HASH }, (__, part) => ({ point: digest[part]! >>> 0, server }))
      }).flat(),
    )
    this.#continuum = new Continuum(points)
  }

  serverOf(key: WireKey, attempt: number): number {
    return this.#continuum.serverAt(md5(key)[0]! >>> 0, attempt)
  }
}
