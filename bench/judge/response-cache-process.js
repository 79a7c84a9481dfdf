// One process of a service behind `cacheResponse`: `node response-cache-process.js <servers> <timeoutMs>`. Says its
// port, and on a message how often its handler was called since the last.
import { createServer } from 'node:http'
import express from 'express'
import { memcache } from 'memcache-ts'
import { cacheResponse } from 'memcache-ts-express'

const [servers, timeoutMs] = process.argv.slice(2)
const cache = memcache({ servers, timeoutMs: Number(timeoutMs), logger: false })
let calls = 0

const app = express()
app.use(cacheResponse({ ttlSeconds: 60, cache }))
app.get('/:page', (request, response) => {
  calls++
  setTimeout(() => response.json({ page: request.params.page }), Number(request.query['ms'] ?? 0))
})
const server = createServer(app).listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))

process.once('disconnect', () => process.exit())
process.on('message', () => {
  process.send({ calls, health: cache.stats().health })
  calls = 0
})
