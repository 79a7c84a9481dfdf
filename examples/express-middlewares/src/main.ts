import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { getDefaultMemcache } from 'memcache-ts'
import { cachedPage } from './cached-page.ts'
import { createLimitedApi } from './limited-api.ts'
import { createLoginApp } from './login.ts'

const port = Number(process.env['PORT'] ?? 3002)
if (!Number.isInteger(port)) throw new RangeError(`PORT must be a number, not ${JSON.stringify(process.env['PORT'])}`)

// All three in one process: `npm run start:middlewares`.
const app = express()
app.use('/api', createLimitedApi())
app.use(cachedPage())
app.use(await createLoginApp())

const server = createServer(app).listen(port, '127.0.0.1', () => {
  const origin = `http://localhost:${(server.address() as AddressInfo).port}`
  console.log(`
  ${origin}/articles

  curl -i '${origin}/api/' -H 'X-Api-Key: free-key'
  curl -i -c cookies '${origin}/login' -H 'Content-Type: application/json' -d '{"name": "ann", "password": "correct horse"}'
  curl -i -b cookies '${origin}/account'

  Ctrl-C stops.
`)
})

const stop = (): void => {
  server.close(() => void getDefaultMemcache().close())
  server.closeAllConnections()
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
