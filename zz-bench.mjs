import express from 'express'
import { rateLimit as erl } from 'express-rate-limit'
import { rateLimit } from 'memcache-ts-express'
import { memcache } from 'memcache-ts'
import http from 'node:http'
const [,, kind, addr] = process.argv
const app = express()
let cache
if (kind === 'erl') app.use(erl({ windowMs: 60_000, limit: 1e9, standardHeaders: 'draft-8', legacyHeaders: false }))
if (kind === 'ours') { cache = memcache({ servers: addr, timeoutMs: 3000 }); app.use(rateLimit({ limit: 1e9, windowMs: 60_000, cache })) }
if (kind === 'fixed') { cache = memcache({ servers: addr, timeoutMs: 3000 }); app.use(rateLimit({ limit: 1e9, windowMs: 60_000, algorithm: 'fixed', cache })) }
app.get('/', (req, res) => res.json({ ok: true }))
const server = app.listen(0, '127.0.0.1', () => process.send?.({ port: server.address().port }))
process.on('message', (m) => { if (m === 'cpu') process.send({ cpu: process.cpuUsage() }); if (m === 'end') process.exit(0) })
