import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { freePort } from 'memcache-ts-testing'
import { ask, start } from '../child.js'
import { median } from '../judge/figures.js'
import { launch } from '../judge/launch.js'
import { contestants } from './contestants.js'
import { isInstalled, launchNginx, launchVarnish } from './front-caches.js'

export const description =
  'processor time a request of sessions, limits and cached pages beside their peers, on Express 5'

const ROUNDS = Number(process.env.ROUNDS ?? 7)
const MILLISECONDS = Number(process.env.MILLISECONDS ?? 2000)
const ONLY = process.env.ONLY ?? ''
/** A number of requests rather than a time, so that the code is compiled even on a slow machine. */
const WARM_UP = { requests: Number(process.env.WARM_UP ?? 30_000) }
/** Before each measurement, since V8 discards the compiled code of a process that had no work while others took turns. */
const WAKE_UP = { requests: Number(process.env.WAKE_UP ?? 4000) }
const MAX_ATTEMPTS = 5
const APP_CPU = 1
const OTHERS_CPU = 0

/** The most that a request which only reads a session may cost above a request of Express alone, in microseconds. */
export const MAX_READ_MICROSECONDS = 35

/** The pairs of rows that are compared; `most` is the goal for their ratio, if there is one. */
export const comparisons = [
  { ours: 'session, memcache-ts', peer: 'session, connect-redis', most: 0.8 },
  { ours: 'session, memcache-ts', peer: 'session, connect-memcached' },
  { ours: 'session, memcache-ts', peer: 'session, in memory' },
  { ours: 'session write, memcache-ts', peer: 'session write, connect-redis', most: 1 },
  { ours: 'limit, memcache-ts', peer: 'limit, express-rate-limit in memory', most: 0.9 },
  { ours: 'limit, memcache-ts', peer: 'limit, rate-limit-memcached' },
  { ours: 'page hit, memcache-ts', peer: 'page, Express alone', most: 0.5 },
  { ours: 'page hit, memcache-ts', peer: 'page hit, apicache', most: 0.2 },
  { ours: 'page hit, memcache-ts with l1', peer: 'page, Express alone', most: 0.5 },
  { ours: 'page hit, memcache-ts with l1', peer: 'page hit, apicache', most: 0.2 },
  { ours: 'page hit, memcache-ts before Express', peer: 'page, Express alone', most: 0.5 },
  { ours: 'page hit, memcache-ts with l1 before Express', peer: 'page, Express alone', most: 0.5 },
  { ours: 'page hit, memcache-ts with l1 before Express', peer: 'page hit, apicache', most: 0.2 },
  { ours: 'page, ready in Express', peer: 'page, Express alone' },
  { ours: 'page, ready in Express', peer: 'page hit, apicache' },
  { ours: 'page, ready in node:http', peer: 'page hit, apicache' },
  { ours: 'page, ready in node:http with the fields of a hit', peer: 'page hit, apicache' },
  { ours: 'page hit, memcache-ts', peer: 'page hit, nginx' },
  { ours: 'page hit, memcache-ts', peer: 'page hit, Varnish' },
  { ours: 'page 304, memcache-ts', peer: 'page 304, Express alone' },
  { ours: 'page 304, memcache-ts', peer: 'page 304, nginx' },
  { ours: 'page 304, memcache-ts', peer: 'page 304, Varnish' },
  { ours: 'page miss, memcache-ts', peer: 'page, Express alone' },
]

/**
 * Runs every application in its own process on one core; the load generator, memcached and redis run on the other core.
 * In each round every application is measured once, and the medians of the rounds are compared.
 *
 * @returns {Promise<Record<string, number>>} microseconds of the application's processor time a request.
 */
export async function measureCosts() {
  const memcached = await launch({ realMemcached: true, memoryLimitMb: 256 })
  const redis = await launchRedis()
  for (const pid of [memcached.pid, redis.pid]) pin(pid, OTHERS_CPU)
  const servers = new Map()
  const names = Object.keys(contestants).filter((name) => name.includes(ONLY) && !isMissing(name))
  let load
  try {
    load = (await start(fileURLToPath(new URL('load.js', import.meta.url)))).child
    pin(load.pid, OTHERS_CPU)
    for (const name of names) {
      servers.set(name, await startServer(name, memcached.address, redis.address))
      await measure(servers.get(name), load, WARM_UP)
    }
    const measured = Object.fromEntries(names.map((name) => [name, []]))
    for (let round = 1; round <= ROUNDS; round++) {
      for (const name of rotated(names, round)) {
        await measure(servers.get(name), load, WAKE_UP)
        measured[name].push(await measure(servers.get(name), load, { milliseconds: MILLISECONDS }))
      }
      console.log(`  round ${round} of ${ROUNDS}`)
    }
    return Object.fromEntries(Object.entries(measured).map(([name, rounds]) => [name, median(rounds)]))
  } finally {
    load?.kill('SIGKILL')
    for (const { child, front } of servers.values()) {
      await front?.stop()
      child.kill('SIGKILL')
    }
    memcached.stop()
    redis.stop()
  }
}

export async function run({ save }) {
  const costs = await measureCosts()
  const tables = `${costTable(costs)}\n\n${ratioTable(costs)}`
  console.log(tables)
  if (!save) return
  const file = new URL('../results/express.md', import.meta.url)
  mkdirSync(new URL('.', file), { recursive: true })
  writeFileSync(file, document(tables))
}

/** Returns by how much a request that reads a session costs more than a request of Express alone, in microseconds. */
export function readCostOf(costs) {
  return costs['session, memcache-ts'] - costs['Express alone']
}

export function ratiosOf(costs) {
  const measured = comparisons.filter(({ ours, peer }) => costs[ours] !== undefined && costs[peer] !== undefined)
  return measured.map(({ ours, peer, most }) => ({ ours, peer, most, ratio: costs[ours] / costs[peer] }))
}

async function startServer(name, memcached, redis) {
  const args = [name, memcached, redis]
  const { child, first } = await start(fileURLToPath(new URL('server.js', import.meta.url)), args)
  const { port } = first
  const { front: program } = contestants[name]
  if (program === undefined) {
    pin(child.pid, APP_CPU)
    return { name, child, port }
  }
  pin(child.pid, OTHERS_CPU)
  const front = await (program === 'nginx' ? launchNginx(port) : launchVarnish(port))
  for (const pid of front.pids()) pin(pid, APP_CPU)
  return { name, child, port: front.port, front }
}

/** Returns whether the front cache of a contestant is not installed, and prints that. */
function isMissing(name) {
  const { front } = contestants[name]
  if (front === undefined || isInstalled(front)) return false
  console.log(`  ${name} is left out: ${front} is not installed`)
  return true
}

/** Measures again if a response does not have status 200, which happens on a busy machine. */
async function measure(server, load, bounds, attempt = 1) {
  try {
    return await measureOnce(server, load, bounds)
  } catch (error) {
    if (attempt === MAX_ATTEMPTS) throw error
    console.log(`  ${error.message.split('\n', 1)[0]}: once more`)
    return measure(server, load, bounds, attempt + 1)
  }
}

async function measureOnce({ name, child, front, port }, load, bounds) {
  const { visits = false, path = '/', headers, status } = contestants[name]
  await answerOf(load, name, { port, visits, path, headers, status, ...bounds })
  const cpu = () => (front === undefined ? cpuOf(child) : front.cpuMicroseconds())
  const before = await cpu()
  const { requests } = await answerOf(load, name, 'go')
  return ((await cpu()) - before) / requests
}

async function answerOf(load, name, question) {
  const answer = await ask(load, question)
  if (answer.failed !== undefined) throw new Error(`${name}: ${answer.failed}`)
  return answer
}

async function cpuOf(child) {
  const { cpuMicroseconds } = await ask(child, 'cpu')
  return cpuMicroseconds
}

/** Starts Debian's redis-server without files on disk. */
async function launchRedis() {
  const port = await freePort()
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'ignore'] })
  child.once('error', (error) => {
    console.error(`redis-server could not be started (apt-get install redis-server): ${error.message}`)
    process.exit(1)
  })
  let output = ''
  for await (const chunk of child.stdout) {
    output += chunk
    if (output.includes('Ready to accept connections')) break
  }
  return { address: `127.0.0.1:${port}`, pid: child.pid, stop: () => child.kill('SIGKILL') }
}

/** Pins all threads of a process to one core. */
function pin(pid, cpu) {
  execFileSync('taskset', ['-a', '-p', '-c', String(cpu), String(pid)], { stdio: 'ignore' })
}

/** Returns a list that begins with another member each time, since a core is faster or slower after a pause. */
function rotated(list, by) {
  const start = by % list.length
  return [...list.slice(start), ...list.slice(0, start)]
}

function costTable(costs) {
  return [
    '| application | µs of processor a request |',
    '| --- | --- |',
    ...Object.entries(costs).map(([name, cost]) => `| ${name} | ${cost.toFixed(0)} |`),
  ].join('\n')
}

/** Returns the environment variables of this run that differ from the defaults, in the form of a shell command. */
function settings() {
  const names = ['ROUNDS', 'MILLISECONDS', 'WARM_UP', 'WAKE_UP', 'ONLY'].filter(
    (name) => process.env[name] !== undefined,
  )
  return names.map((name) => `${name}=${process.env[name]} `).join('')
}

/** The difference of two rows of the table, which is negative before Node 24: see the end of the document. */
function readSentence(microseconds) {
  const difference = `${Math.abs(microseconds).toFixed(0)} µs ${microseconds < 0 ? 'less' : 'more'}`
  return `A request that reads a session ("session, memcache-ts") costs ${difference} than a request of "Express alone".`
}

function ratioTable(costs) {
  const read = readCostOf(costs)
  return [
    ...(Number.isFinite(read)
      ? [`${readSentence(read)} The goal is at most ${MAX_READ_MICROSECONDS} µs more.`, '']
      : []),
    '| | to | ratio | goal: at most |',
    '| --- | --- | --- | --- |',
    ...ratiosOf(costs).map(
      ({ ours, peer, ratio, most }) => `| ${ours} | ${peer} | ${ratio.toFixed(2)} | ${most ?? ''} |`,
    ),
  ].join('\n')
}

function document(tables) {
  return `# Sessions, limits and cached pages beside their peers

${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${cpus().length} shared cores of a virtual machine.

\`\`\`sh
${settings()}npm run bench -- express --save
\`\`\`

Each row is an Express 5 application in its own process on one core. On the other core are the load generator (50 connections, each of which sends the next request when it has a response), Debian's memcached \`-t 1\` and Debian's redis-server. A request reads the visitor's
session and returns 23 bytes of JSON, or increments a counter in the session, or is counted by a rate limit and allowed; a page is 10 kB of JSON, which nginx and Varnish have in
front of the application, in their own processes on its core. "Ready" pages are a prepared buffer without any cache: the minimum. "Before Express" is \`cacheHandler(app)\`. Processor time of the application's process by
\`process.cpuUsage()\`, divided by the requests; medians of ${ROUNDS} rounds of ${MILLISECONDS} ms, in which the applications take turns.

${tables}

What it does not show: latency, and figures of an idle machine: the cores are shared, so only the ratios of one run mean something. Before Node 24 the session and the limit also make Express itself cheaper
(docs/decisions/0030-one-shape-for-the-requests-of-express.md), so that a request with a session may cost less than Express alone.
`
}
