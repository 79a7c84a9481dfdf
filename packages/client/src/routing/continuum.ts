/** Points on a ring of 32 bits, each a server's: a key belongs to the first point from its hash on. */
export class Continuum {
  readonly #points: Uint32Array
  readonly #servers: Uint16Array

  constructor(points: readonly { readonly point: number; readonly server: number }[]) {
    const sorted = points.toSorted((a, b) => a.point - b.point)
    this.#points = Uint32Array.from(sorted, ({ point }) => point)
    this.#servers = Uint16Array.from(sorted, ({ server }) => server)
  }

  /** The server at a hash; with `attempt` above 0 the next other ones on the ring. */
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
