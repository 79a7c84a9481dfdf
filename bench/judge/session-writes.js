import { once } from 'node:events'
import { Agent, get } from 'node:http'
import express from 'express'
import { memcache } from 'memcache-ts'
import { memcacheSession } from 'memcache-ts-express'
import { launch } from './launch.js'

export const description =
  '10,000 writes of sessions, each by 50 writers at once, through two applications: none lost, none refused'

const WRITERS = 50
const WRITES = 10_000
/** One after the other: a session has a property for each of its writes, and a session of 10,000 properties is none. */
const SESSIONS = 20
const APPLICATIONS = 2

export async function run({ realMemcached }) {
  const server = await launch({ realMemcached })
  const caches = Array.from({ length: APPLICATIONS }, () => memcache({ servers: server.address, timeoutMs: 10_000 }))
  const sites = await Promise.all(caches.map((cache) => openSite(cache)))
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity })
  try {
    const ask = (index, path, cookie) => visit(agent, sites[index % APPLICATIONS], path, cookie)
    let refused = 0
    let found = 0
    const start = performance.now()
    for (let session = 0; session < SESSIONS; session++) {
      const { headers } = await ask(0, '/begin')
      const cookie = headers['set-cookie'][0].split(';')[0]
      let next = 0
      const writer = async () => {
        for (let write = next++; write < WRITES / SESSIONS; write = next++) {
          const { status } = await ask(write, `/write/${write}`, cookie)
          if (status !== 200) refused++
        }
      }
      await Promise.all(Array.from({ length: WRITERS }, writer))
      found += Number((await ask(0, '/count', cookie)).body)
    }
    const seconds = (performance.now() - start) / 1000
    const lost = WRITES - refused - found
    return {
      reached: lost === 0 && refused === 0,
      figure: `${WRITES} writes by ${WRITERS} writers in ${seconds.toFixed(1)} s: ${lost} lost, ${refused} refused; on ${realMemcached ? 'memcached' : 'memcache-ts-server'}`,
    }
  } finally {
    agent.destroy()
    for (const site of sites) site.close()
    await Promise.all(caches.map((cache) => cache.close()))
    server.stop()
  }
}

async function openSite(cache) {
  const app = express()
  app.use(memcacheSession({ secret: 'of the judge', cache }))
  app.get('/begin', (request, response) => {
    request.session.written = {}
    response.send('begun')
  })
  app.get('/write/:number', (request, response) => {
    request.session.written[request.params.number] = 1
    response.send('written')
  })
  app.get('/count', (request, response) => void response.send(String(Object.keys(request.session.written).length)))
  const site = app.listen(0, '127.0.0.1')
  await once(site, 'listening')
  return site
}

function visit(agent, site, path, cookie) {
  const headers = cookie === undefined ? {} : { Cookie: cookie }
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port: site.address().port, path, headers, agent }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk) => (body += chunk))
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }))
    }).on('error', reject)
  })
}
