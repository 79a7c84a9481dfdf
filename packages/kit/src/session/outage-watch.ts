import type { Memcache } from '../memcache.ts'

/** What is told when all servers of a cache are away, and when one is back. */
export interface OutageListener {
  away(error: unknown): void
  back(): void
}

/** The listeners of each cache: one on its client, however many stores there are. */
const listeners = new WeakMap<Memcache, Set<OutageListener>>()

/** Has a listener told of the outages of a cache, as its client finds them. */
export function watchOutages(cache: Memcache, listener: OutageListener): void {
  const known = listeners.get(cache)
  if (known !== undefined) {
    known.add(listener)
    return
  }
  const told = new Set([listener])
  listeners.set(cache, told)
  const down = new Set<string>()
  const { client } = cache
  client.on('eject', (server, error) => {
    down.add(server)
    if (client.servers.every((name) => down.has(name))) for (const each of told) each.away(error)
  })
  client.on('rejoin', (server) => {
    const wasAway = client.servers.every((name) => down.has(name))
    down.delete(server)
    if (wasAway) for (const each of told) each.back()
  })
}
