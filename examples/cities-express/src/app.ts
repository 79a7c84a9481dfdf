import express, { type Express } from 'express'
import { memcacheSession, rateLimit } from 'memcache-ts-express'
import type { Cities } from './cities.ts'
import { page } from './page.ts'
import { notFound, problems } from './problem.ts'
import { routes } from './routes.ts'
import { statistics } from './statistics.ts'

/** The whole service. Sessions, limits and caches are on the default memcache: embedded, or MEMCACHE_SERVERS. */
export function createApp(cities: Cities): Express {
  const app = express()
  app.disable('x-powered-by')
  app.use(page())
  app.get('/api/stats', statistics)
  app.use(rateLimit({ perMinute: 100 }))
  // The history of a visitor may be lost: while memcached is away, the service continues without sessions.
  app.use(memcacheSession({ onCacheDown: 'anonymous' }))
  app.use('/api', routes(cities))
  app.use(notFound)
  app.use(problems)
  return app
}
