/**
 * A small service with everything that a production service needs of this kit: sessions, a rate limit, a cached value,
 * metrics, a health check, and an orderly end.
 */
import express from 'express'
import { memcache, setDefaultMemcache } from 'memcache-ts'
import { memcacheSession, rateLimit } from 'memcache-ts-express'
import { collectMemcache } from 'memcache-ts/prometheus'
import { collectDefaultMetrics, register } from 'prom-client'

const port = Number(process.env.PORT ?? 3000)
const cache = memcache() // MEMCACHE_SERVERS
setDefaultMemcache(cache)
collectDefaultMetrics()
collectMemcache(cache)

const app = express()
app.set('trust proxy', process.env.TRUST_PROXY ?? false)

// Before sessions and limits: these must respond even if the cache fails.
app.get('/livez', (_req, res) => res.send('alive'))
app.get('/readyz', (_req, res) => res.send('ready'))
app.get('/metrics', async (_req, res) => res.type(register.contentType).send(await register.metrics()))

app.use(rateLimit({ perMinute: 600 }))
app.use(memcacheSession())
app.get('/', (req, res) => {
  req.session.visits = (req.session.visits ?? 0) + 1
  res.json({ visits: req.session.visits })
})
app.get('/slow/:id', async (req, res) => {
  const value = await cache.getOrSet(['slow', req.params.id], () => slowQuery(req.params.id), {
    ttlSeconds: 30,
    staleSeconds: 60,
  })
  res.json(value)
})

/** Simulates a slow database query. */
async function slowQuery(id) {
  await new Promise((resolve) => setTimeout(resolve, 200))
  return { id, at: new Date().toISOString() }
}

const server = app.listen(port, () => console.log(`listening on port ${server.address().port}`))

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, () => {
    // New requests go to other replicas; those under way are finished, and idle connections closed.
    server.close(() => void cache.close().then(() => process.exit(0)))
    server.closeIdleConnections()
  })
}
