import type { RequestHandler } from 'express'
import { getDefaultMemcache } from 'memcache-ts'
import { timed } from './server-timing.ts'

/** Responds with the counters of this process and the general statistics of each memcached that is reachable. */
export const statistics: RequestHandler = async (_req, res) => {
  const cache = getDefaultMemcache()
  const servers = await timed(res, async () => {
    try {
      return await cache.client.stats()
    } catch {
      return []
    }
  })
  res.set('Cache-Control', 'no-store').json({ cache: cache.stats(), servers: Object.fromEntries(servers) })
}
