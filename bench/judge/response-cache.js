import { Agent, get } from 'node:http'
import { fileURLToPath } from 'node:url'
import { ask as askProcess, start as startProcess } from '../child.js'
import { percentile } from './figures.js'
import { launch } from './launch.js'

export const description =
  '2 processes: 20 misses at once are 1 handler call; the server hangs under load: at most its timeout of 100 ms more, no error, back within 2 s'

const PROCESS = fileURLToPath(new URL('response-cache-process.js', import.meta.url))
const RUNS = 50
const MISSES = 20
const HANDLER_MS = 50
/** Clients, and how long each of them pauses: not so many that the machine is what they wait for. */
const LOAD = 20
const PAUSE_MS = 5
const HANG_MS = 3000
const WARM_MS = 1000
const TIMEOUT_MS = 100
const PATIENT_MS = 5000
/** A timer that fires at 100 ms is not done at 100 ms. */
const TIMER_MS = 15
const MAX_BACK_MS = 2000
const HOST = { Host: 'shop.test' }

export async function run({ realMemcached }) {
  const server = await launch({ realMemcached })
  try {
    // That a busy machine is slow for once is no server that is away.
    const alone = await withProcesses(server, PATIENT_MS, countAlone)
    const { before, during, errors, back } = await withProcesses(server, TIMEOUT_MS, (processes) =>
      hang(server, processes),
    )
    const most = before + TIMEOUT_MS + TIMER_MS
    return {
      reached: alone === RUNS && during <= most && errors === 0 && back <= MAX_BACK_MS,
      figure:
        `one handler call in ${alone} of ${RUNS} runs; hung for ${HANG_MS} ms under ${LOAD} clients: ` +
        `p99.9 ${during.toFixed(0)} ms, and ${before.toFixed(0)} before (at most ${TIMEOUT_MS} more, and ${TIMER_MS} for timers), ${errors} errors, ` +
        `back in ${back.toFixed(0)} ms (at most ${MAX_BACK_MS}), on ${realMemcached ? 'memcached' : 'memcache-ts-server'}`,
    }
  } finally {
    server.stop()
  }
}

async function withProcesses({ address }, timeoutMs, measure) {
  const processes = await Promise.all([start(address, timeoutMs), start(address, timeoutMs)])
  try {
    return await measure(processes)
  } finally {
    for (const { child, agent } of processes) {
      agent.destroy()
      child.kill('SIGKILL')
    }
  }
}

/** In how many runs all misses of both processes were one handler call, and had its answer. */
async function countAlone(processes) {
  let alone = 0
  for (let round = 0; round < RUNS; round++) {
    const path = `/cold-${round}?ms=${HANDLER_MS}`
    const answers = await Promise.all(Array.from({ length: MISSES }, (_, index) => ask(processes[index % 2], path)))
    const reports = await Promise.all(processes.map(report))
    const calls = reports.reduce((sum, { calls }) => sum + calls, 0)
    if (calls === 1 && answers.every(({ body }) => body === `{"page":"cold-${round}"}`)) alone++
  }
  return alone
}

/** How long requests take while the server hangs, and how long until it is used again. */
async function hang(server, processes) {
  const times = []
  let errors = 0
  let isOver = false
  const client = async (index) => {
    for (let asked = 0; !isOver; asked++) {
      const began = performance.now()
      const { status } = await ask(processes[index % 2], `/page-${(index + asked) % 200}`).catch(() => ({ status: 0 }))
      if (status !== 200) errors++
      times.push(performance.now() - began)
      await pause(PAUSE_MS)
    }
  }
  const clients = Array.from({ length: LOAD }, (_, index) => client(index))
  // Until what is compiled and stored is.
  await pause(WARM_MS)
  times.length = 0
  await pause(HANG_MS)
  const before = percentile(times, 0.999)
  times.length = 0
  process.kill(server.pid, 'SIGSTOP')
  await pause(HANG_MS)
  process.kill(server.pid, 'SIGCONT')
  const began = performance.now()
  while (performance.now() - began < 2 * MAX_BACK_MS) {
    const reports = await Promise.all(processes.map(report))
    if (reports.every(({ health }) => health === 'up')) break
    await pause(20)
  }
  const back = performance.now() - began
  isOver = true
  await Promise.all(clients)
  return { before, during: percentile(times, 0.999), errors, back }
}

async function start(servers, timeoutMs) {
  const { child, first } = await startProcess(PROCESS, [servers, String(timeoutMs)])
  return { child, port: first.port, agent: new Agent({ keepAlive: true }) }
}

function report({ child }) {
  return askProcess(child, 'report')
}

function ask({ port, agent }, path) {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent, headers: HOST }, (response) => {
      let body = ''
      response.on('data', (chunk) => (body += chunk))
      response.on('end', () => resolve({ status: response.statusCode, body }))
    }).on('error', reject)
  })
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
