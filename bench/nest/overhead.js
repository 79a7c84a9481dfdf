import { writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { ask, start } from '../child.js'
import { median } from '../judge/figures.js'
import { launch } from '../judge/launch.js'

export const description =
  'what @Cached, @CacheResponse and @RateLimit cost a Nest request, beside Nest’s own in memory'

const ROUNDS = Number(process.env.ROUNDS ?? 7)
const REQUESTS = Number(process.env.REQUESTS ?? 2000)
const CONNECTIONS = 50

/** The routes of the application, and what stands before the handler. */
const ROUTES = {
  bare: 'nothing',
  cached: '`@Cached` on the service, a hit',
  near: '`@Cached` on the service, a hit in memory (`l1`)',
  response: '`@CacheResponse`, a hit',
  interceptor: 'Nest’s `CacheInterceptor` in memory, a hit',
  limited: '`@RateLimit`',
  throttled: 'Nest’s `ThrottlerGuard` in memory',
}

/** Processor time of the application for a request on each route: medians of rounds in which the routes take turns. */
async function measure() {
  const server = await launch({ realMemcached: true })
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const measured = Object.fromEntries(Object.keys(ROUTES).map((route) => [route, []]))
  let app
  try {
    const started = await start(fileURLToPath(new URL('app.js', import.meta.url)), [server.address])
    app = started.child
    const { origin } = started.first
    for (let round = 0; round <= ROUNDS; round++) {
      for (const route of Object.keys(ROUTES)) {
        const before = await cpuOf(app)
        await load(`${origin}/${route}`, agent)
        const cpuMicroseconds = (await cpuOf(app)) - before
        // The first round warms: code, connections and caches.
        if (round > 0) measured[route].push(cpuMicroseconds / REQUESTS)
      }
      if (round > 0) console.log(`  round ${round} of ${ROUNDS}`)
    }
  } finally {
    app?.kill('SIGKILL')
    agent.destroy()
    server.stop()
  }
  return Object.fromEntries(Object.entries(measured).map(([route, figures]) => [route, median(figures)]))
}

async function cpuOf(app) {
  const { cpuMicroseconds } = await ask(app, 'cpu')
  return cpuMicroseconds
}

async function load(url, agent) {
  let left = REQUESTS
  const one = () =>
    new Promise((resolve, reject) => {
      get(url, { agent }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`${url}: ${response.statusCode}`))
        response.resume().once('end', resolve)
      }).once('error', reject)
    })
  const worker = async () => {
    while (left-- > 0) await one()
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, worker))
}

export async function run({ save }) {
  const figures = await measure()
  const table = tableOf(figures)
  console.log(table)
  if (save) writeFileSync(new URL('../results/nest.md', import.meta.url), document(table))
}

function tableOf(figures) {
  return [
    '| before the handler | processor time of a request, µs | more than nothing, µs |',
    '| --- | --- | --- |',
    ...Object.entries(ROUTES).map(([route, name]) => {
      const more = route === 'bare' ? '' : (figures[route] - figures.bare).toFixed(0)
      return `| ${name} | ${figures[route].toFixed(0)} | ${more} |`
    }),
  ].join('\n')
}

function document(table) {
  return `# What the decorators cost a Nest request

${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${cpus().length} shared cores of a virtual machine.

\`\`\`sh
npm run bench -- nest --save
\`\`\`

A Nest 12 application on Express and Debian's memcached \`-t 1\`, ${CONNECTIONS} connections, and 1000 clients for the
limits; the processor time of the application's process per request. Medians of ${ROUNDS} rounds of ${REQUESTS} requests, in which the routes take turns.

${table}

The decorators of memcache-ts, except with \`l1\`, use memcached for every request, and so count and cache for all processes together; those of Nest use memory, and work for one process. Nest's interceptor ignores \`Authorization\`, cookies, \`Vary\` and \`Cache-Control\`. What it does not show: the latency of a request, which includes the round trip to memcached.
`
}
