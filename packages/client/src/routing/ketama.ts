import { createHash } from 'node:crypto'
import { DEFAULT_PORT } from 'memcache-ts-protocol'
import type { ServerAddress } from '../server-address.ts'

const POINTS_PER_SERVER = 160
const POINTS_PER_HASH = 4

/**
 * Consistent hashing as libmemcached's weighted ketama has it (libmemcached/hosts.cc, update_continuum), so that
 * clients of other languages find the same keys on the same servers.
 */
export class Ketama {
  readonly #points: Uint32Array
  readonly #servers: Uint16Array

  constructor(servers: readonly ServerAddress[]) {
    const totalWeight = servers.reduce((sum, server) => sum + server.weight, 0)
    const points: { point: number; server: number }[] = []
    for (const [index, server] of servers.entries()) {
      // libmemcached counts in floats of 32 bits, and the sum of the points shows it.
      const share = Math.fround(server.weight / totalWeight)
      const perHash = Math.fround(Math.fround(share * POINTS_PER_SERVER) / POINTS_PER_HASH)
      const hashes = Math.floor(Math.fround(Math.fround(perHash * servers.length) + 1e-10))
      const name = ketamaName(server)
      for (let hash = 0; hash < hashes; hash++) {
        const digest = md5(`${name}-${hash}`)
        for (let part = 0; part < POINTS_PER_HASH; part++) {
          points.push({ point: digest.readUInt32LE(part * 4), server: index })
        }
      }
    }
    points.sort((a, b) => a.point - b.point)
    this.#points = Uint32Array.from(points, (point) => point.point)
    this.#servers = Uint16Array.from(points, (point) => point.server)
  }

  /**
   * The server of a key, as an index; with `attempt` above 0 the next other ones on the ring, for keys whose server is
   * away.
   */
  serverOf(key: string, attempt = 0): number {
    const hash = md5(key).readUInt32LE(0)
    const points = this.#points
    let low = 0
    let high = points.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (points[middle]! < hash) low = middle + 1
      else high = middle
    }
    const seen = new Set<number>()
    for (let step = 0; step < points.length; step++) {
      const server = this.#servers[(low + step) % points.length]!
      if (!seen.has(server) && seen.size === attempt) return server
      seen.add(server)
    }
    return this.#servers[low % points.length]!
  }
}

/** libmemcached leaves the default port out of the name that it hashes. */
function ketamaName({ host, port, name }: ServerAddress): string {
  if (host === undefined) return name
  return port === DEFAULT_PORT ? host : `${host}:${port}`
}

function md5(text: string): Buffer {
  return createHash('md5').update(text).digest()
}
