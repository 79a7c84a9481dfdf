import { once } from 'node:events'
import { Agent, get } from 'node:http'
import express from 'express'
import { memcache } from 'memcache-ts'
import { memcacheSession } from 'memcache-ts-express'
import { percentile } from './figures.js'
import { FAULTS, relaunchable } from './outage.js'

export const description =
  'sessions whose server refuses or hangs under load, for each onCacheDown: at most its timeout of 100 ms more, no hang, back within 2 s'

/** Clients, and how long each of them pauses: not so many that the machine is what they wait for. */
const CLIENTS = 20
const PAUSE_MS = 5
const CALM_MS = 1000
const FAULT_MS = 2000
const TIMEOUT_MS = 100
/** A timer that fires at 100 ms is not done at 100 ms. */
const TIMER_MS = 15
const MAX_BACK_MS = 2000

/** The allowed statuses while the server is away; requests that had already started may still get 200. */
const ANSWERS = { error: [200, 503], anonymous: [200], skip: [200] }

export async function run({ realMemcached }) {
  const figures = []
  let reached = true
  for (const [onCacheDown, answers] of Object.entries(ANSWERS)) {
    for (const [name, fault] of Object.entries(FAULTS)) {
      const { before, during, wrong, back } = await suffer(fault, realMemcached, onCacheDown, answers)
      reached &&= during <= before + TIMEOUT_MS + TIMER_MS && wrong === 0 && back <= MAX_BACK_MS
      figures.push(
        `${onCacheDown}, ${name}: p99.9 ${during.toFixed(0)} ms, and ${before.toFixed(0)} before (at most ${TIMEOUT_MS} more, and ${TIMER_MS} for timers), ${wrong} wrong answers, back in ${back.toFixed(0)} ms (at most ${MAX_BACK_MS})`,
      )
      console.log(`  ${figures.at(-1)}`)
    }
  }
  return { reached, figure: `${figures.length} outages` }
}

async function suffer(fault, realMemcached, onCacheDown, answers) {
  const server = await relaunchable(realMemcached)
  const cache = memcache({ servers: server.address, logger: false, timeoutMs: TIMEOUT_MS })
  const site = await Site.open(memcacheSession({ secret: 'of the judge', cache, onCacheDown }))
  try {
    const cookies = await Promise.all(Array.from({ length: CLIENTS }, () => site.login()))
    const before = await site.load(cookies, CALM_MS)
    await fault.begin(server)
    const during = await site.load(cookies, FAULT_MS)
    await fault.end(server)
    const start = performance.now()
    // One who logs in now is known at the next request.
    for (let isBack = false; !isBack && performance.now() - start < 2 * MAX_BACK_MS;) {
      const cookie = await site.login()
      isBack = cookie !== undefined && (await site.ask('/', cookie)).body === 'Ann'
    }
    return {
      before: percentile(before.times, 0.999),
      during: percentile(during.times, 0.999),
      wrong:
        before.statuses.filter((status) => status !== 200).length +
        during.statuses.filter((status) => !answers.includes(status)).length,
      back: performance.now() - start,
    }
  } finally {
    site.close()
    await cache.close()
    server.stop()
  }
}

/** An application with sessions, and its clients. */
class Site {
  #server
  #agent = new Agent({ keepAlive: true })

  static async open(session) {
    const app = express()
    app.use(session)
    app.get('/login', (request, response) => {
      if (request.session !== undefined) request.session.user = 'Ann'
      response.send('in')
    })
    app.get('/', (request, response) => void response.send(request.session?.user ?? 'nobody'))
    app.get('/visit', (request, response) => {
      if (request.session !== undefined) request.session.visits = (request.session.visits ?? 0) + 1
      response.send('counted')
    })
    // oxlint-disable-next-line no-unused-vars -- Express recognizes an error handler by its four parameters
    app.use((error, request, response, next) => void response.status(500).send(error.code))
    const site = new Site()
    site.#server = app.listen(0, '127.0.0.1')
    await once(site.#server, 'listening')
    return site
  }

  /** The cookie of one who has logged in; `undefined` where there was none. */
  async login() {
    const { headers } = await this.ask('/login')
    return headers['set-cookie']?.[0].split(';')[0]
  }

  /** Clients that read, and now and then write, one request after another. */
  async load(cookies, milliseconds) {
    const until = performance.now() + milliseconds
    const times = []
    const statuses = []
    const client = async (cookie) => {
      for (let asked = 0; performance.now() < until; asked++) {
        const start = performance.now()
        const { status } = await this.ask(asked % 4 === 0 ? '/visit' : '/', cookie)
        times.push(performance.now() - start)
        statuses.push(status)
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
      }
    }
    await Promise.all(cookies.map(client))
    return { times, statuses }
  }

  ask(path, cookie) {
    const { port } = this.#server.address()
    const headers = cookie === undefined ? {} : { Cookie: cookie }
    return new Promise((resolve, reject) => {
      get({ port, path, headers, agent: this.#agent, host: '127.0.0.1' }, (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (chunk) => (body += chunk))
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }))
      }).on('error', reject)
    })
  }

  close() {
    this.#agent.destroy()
    this.#server.close()
  }
}
