// Express in a CommonJS project.
//
//   npm install express memcache-ts memcache-ts-express
//   node express-commonjs.cjs
const express = require('express')
const { memcache } = require('memcache-ts')
const { cacheResponse, memcacheSession, rateLimit } = require('memcache-ts-express')

// The servers of MEMCACHE_SERVERS, or a memcached in this process.
const cache = memcache({ prefix: 'shop' })

const app = express()
app.use(rateLimit({ perMinute: 100, cache }))
app.use(memcacheSession({ cache }))

// One load for all concurrent callers, in all processes; then five minutes from the cache.
app.get('/cities/:id', async (req, res) => {
  const { id } = req.params
  res.json(await cache.getOrSet(['city', id], () => loadCity(id), '5m'))
})

app.get('/visits', (req, res) => {
  req.session.visits = (req.session.visits ?? 0) + 1
  res.json({ visits: req.session.visits })
})

app.get('/news', cacheResponse({ ttlSeconds: 60, cache }), (_req, res) => {
  res.send(`The news of ${new Date().toISOString()}`)
})

const server = app.listen(process.env.PORT ?? 3000, () => console.log(`http://localhost:${server.address().port}`))

// Your database.
async function loadCity(id) {
  return { id, name: `City ${id}` }
}
