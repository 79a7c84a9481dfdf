import type { RequestHandler } from 'express'
import { getDefaultMemcache } from 'memcache-ts'
import { timed } from './server-timing.ts'

/** Hits and misses as this process counts them, and the general statistics of each memcached server. */
export const statistics: RequestHandler = async (_req, res) => {
  const cache = getDefaultMemcache()
  const servers = await timed(res, () => cache.client.stats())
  res.set('Cache-Control', 'no-store').json({ cache: cache.stats(), servers: Object.fromEntries(servers) })
}
