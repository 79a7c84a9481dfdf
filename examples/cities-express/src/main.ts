import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { getDefaultMemcache } from 'memcache-ts'
import { createApp } from './app.ts'
import { Cities } from './cities.ts'
import { CityTable, openDatabase, portFrom } from 'cities-data'
import { close, listen } from './listen.ts'
import { loadingBar } from './loading-bar.ts'
import { timedDatabase } from './server-timing.ts'

const wantedPort = portFrom(process.env.PORT ?? '3000')

const database = await openDatabase(loadingBar('135,233 cities into Postgres'))
const cities = new Cities(new CityTable(database, timedDatabase))
await cities.warm(1000)
const server = await listen(createApp(cities), wantedPort, process.env.HOST)

const { port } = server.address() as AddressInfo
if (port !== wantedPort && wantedPort !== 0) console.log(`Port ${wantedPort} is taken; this is the next free one.`)
const origin = `http://localhost:${port}`
console.log(`
  ${origin}

  Open it in a browser, or try, each twice:

    curl -i '${origin}/api/near?lat=48.85&lon=2.35&km=50'
    curl -i '${origin}/api/search?q=zurich'
    curl -i '${origin}/api/cities/2988507'
    curl -i -X PATCH '${origin}/api/cities/2988507' -H 'Content-Type: application/json' -d '{"population": 2103778}'
    curl -i '${origin}/api/stats'

  Server-Timing says how long the database and the cache took. Ctrl-C stops.
`)

const closing = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => closing.abort())
await once(closing.signal, 'abort')
await close(server)
await getDefaultMemcache().close()
await database.close()
