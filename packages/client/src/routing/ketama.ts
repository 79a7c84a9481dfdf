import { DEFAULT_PORT } from 'memcache-ts-protocol'
import type { WireKey } from '../client-key.ts'
import type { ServerAddress } from '../server-address.ts'
import { md5 } from './md5.ts'
import type { Router } from './router.ts'

/** The name of a unix socket for hashing: its path with the port 0, like libmemcached, or only its path. */
export type SocketName = 'path:0' | 'path'

/** Returns a server's name in libmemcached's weighted ketama: without the port if it is the default port. */
function libmemcachedName({ host, port, path, name }: ServerAddress, socketName: SocketName): string {
  if (path !== undefined) return socketName === 'path:0' ? `${path}:0` : path
  if (host === undefined) return name
  return port === DEFAULT_PORT ? host : `${host}:${port}`
}

/** Returns a server's name in spymemcached. */
function spymemcachedName({ host, port, path, name }: ServerAddress, socketName: SocketName): string {
  if (path !== undefined) return socketName === 'path:0' ? `/${path}:0` : path
  return host === undefined ? name : `/${host}:${port}`
}

/** The number of servers that fit in the numbers that are sorted. */
const SERVERS = 2 ** 16

/** Points of servers on a ring of 32 bits: a key belongs to the first point at or after its hash. */
export class Continuum {
  readonly #points: Uint32Array
  readonly #servers: Uint16Array

  /** @param points the points of each server, by its index; at most 65,536 servers. */
  constructor(points: readonly (readonly number[])[]) {
    // A point and its server in one number, so that they are sorted without objects: a list may have 1000 servers.
    const sorted = Float64Array.from(points.flatMap((of, server) => of.map((point) => point * SERVERS + server))).sort()
    this.#points = Uint32Array.from(sorted, (pair) => Math.floor(pair / SERVERS))
    this.#servers = Uint16Array.from(sorted, (pair) => pair % SERVERS)
  }

  /** Returns the server at a hash; with `attempt` above 0, the next other servers on the ring. */
  serverAt(hash: number, attempt: number): number {
    const points = this.#points
    const servers = this.#servers
    let low = 0
    let high = points.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (points[middle]! < hash) low = middle + 1
      else high = middle
    }
    const first = servers[low % points.length]!
    if (attempt === 0) return first
    const seen = new Set<number>()
    for (let step = 0; step < points.length; step++) {
      const server = servers[(low + step) % points.length]!
      if (!seen.has(server) && seen.size === attempt) return server
      seen.add(server)
    }
    return first
  }
}

const POINTS_PER_SERVER = 160
const POINTS_PER_HASH = 4

/**
 * Consistent hashing like libmemcached's weighted ketama (libmemcached/hosts.cc, update_continuum), so that clients in
 * other languages find the same keys on the same servers.
 */
export class Ketama implements Router {
  readonly #continuum: Continuum

  /** @param nameOf returns a server's name for hashing. */
  constructor(servers: readonly ServerAddress[], socketName: SocketName, nameOf = libmemcachedName) {
    const totalWeight = servers.reduce((sum, server) => sum + server.weight, 0)
    const points = servers.map((server) => {
      const own: number[] = []
      // libmemcached computes with floats of 32 bits, which affects the number of points.
      const share = Math.fround(server.weight / totalWeight)
      const perHash = Math.fround(Math.fround(share * POINTS_PER_SERVER) / POINTS_PER_HASH)
      const hashes = Math.floor(Math.fround(Math.fround(perHash * servers.length) + 1e-10))
      const name = nameOf(server, socketName)
      for (let hash = 0; hash < hashes; hash++) {
        const digest = md5(`${name}-${hash}`)
        for (let part = 0; part < POINTS_PER_HASH; part++) own.push(digest[part]! >>> 0)
      }
      return own
    })
    this.#continuum = new Continuum(points)
  }

  serverOf(key: WireKey, attempt: number): number {
    return this.#continuum.serverAt(md5(key)[0]! >>> 0, attempt)
  }
}

/**
 * Ketama with spymemcached's names, `/host:port`, like libmemcached's `consistent_ketama_spy`. With equal weights it
 * matches spymemcached, which has no weights.
 */
export class SpyKetama extends Ketama {
  constructor(servers: readonly ServerAddress[], socketName: SocketName) {
    super(servers, socketName, spymemcachedName)
  }
}
