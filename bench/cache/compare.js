import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { ask, start } from '../child.js'
import { median } from '../judge/figures.js'
import { launch } from '../judge/launch.js'
import { caches } from './caches.js'

export const description =
  'hits, misses, stampedes and memory beside bentocache, cacheable and cache-manager, on the real memcached'

const WORKER = fileURLToPath(new URL('worker.js', import.meta.url))
const NAMES = Object.keys(caches)
const ROUNDS = Number(process.env.ROUNDS ?? 5)
const MILLISECONDS = Number(process.env.MILLISECONDS ?? 1000)
const PROCESSES = 4
const CALLS = 1000
const LOADER_MS = 100
const STAMPEDES = 10
const ITEMS = 50_000

const SPEEDS = [
  { label: 'hits in memcached', tier: 'memcached', task: 'hits' },
  { label: 'hits in memory', tier: 'memory', task: 'hits' },
  { label: 'misses, loaded at once', tier: 'memcached', task: 'misses' },
]

export async function run({ save }) {
  const rows = [...(await speeds()), ...(await stampedes()), await memory()]
  const table = [
    `| | ${NAMES.join(' | ')} |`,
    `| --- | ${NAMES.map(() => '---').join(' | ')} |`,
    ...rows.map(({ label, cells }) => `| ${label} | ${NAMES.map((name) => cells[name]).join(' | ')} |`),
  ].join('\n')
  console.log(table)
  if (save) writeFileSync(new URL('../results/cache.md', import.meta.url), document(table))
}

async function speeds() {
  const rows = []
  for (const { label, tier, task } of SPEEDS) {
    const figures = Object.fromEntries(NAMES.map((name) => [name, []]))
    await withServer(async (address) => {
      const workers = new Map()
      for (const name of NAMES) workers.set(name, await Worker.start(name, address, tier))
      for (let round = 0; round < ROUNDS; round++) {
        for (const name of rotated(NAMES, round)) {
          figures[name].push(await workers.get(name).ask({ task, milliseconds: MILLISECONDS }))
        }
      }
      for (const worker of workers.values()) worker.kill()
    })
    console.log(`  ${label}`)
    const cells = Object.fromEntries(NAMES.map((name) => [name, speedOf(figures[name])]))
    rows.push({ label: `${label}, a second (µs of processor each)`, cells })
  }
  return rows
}

/** Each cache's processes have a server of their own: what one of them does is not to be seen by another. */
async function stampedes() {
  const loads = {}
  const over = {}
  for (const name of NAMES) {
    await withServer(async (address) => {
      const workers = await Promise.all(
        Array.from({ length: PROCESSES }, () => Worker.start(name, address, 'memcached')),
      )
      const counts = []
      const times = []
      for (let round = 0; round < STAMPEDES; round++) {
        const key = `stampede:${round}`
        const start = performance.now()
        const question = { task: 'stampede', key, calls: CALLS, loaderMs: LOADER_MS }
        const results = await Promise.all(workers.map((worker) => worker.ask(question)))
        times.push(performance.now() - start - LOADER_MS)
        counts.push(results.reduce((sum, result) => sum + result.loads, 0))
      }
      loads[name] = [...new Set(counts)].toSorted((a, b) => a - b).join(', ')
      over[name] = `${median(times).toFixed(0)} ms`
      for (const worker of workers) worker.kill()
    })
  }
  console.log('  stampedes')
  return [
    { label: `loads of a stampede: ${PROCESSES} processes × ${CALLS} calls of a cold key`, cells: loads },
    { label: 'and how long after the loader the last caller had it', cells: over },
  ]
}

async function memory() {
  const cells = {}
  for (const name of NAMES) {
    await withServer(async (address) => {
      const worker = await Worker.start(name, address, 'memory')
      const { bytes } = await worker.ask({ task: 'memory', items: ITEMS })
      cells[name] = `${Math.round(bytes)} bytes`
      worker.kill()
    })
  }
  console.log('  memory')
  return { label: `heap of an object of six fields in memory, among ${ITEMS.toLocaleString('en')}`, cells }
}

/** A process with one cache. */
class Worker {
  #process
  #name

  constructor(name, child) {
    this.#name = name
    this.#process = child
  }

  static async start(name, address, tier) {
    const { child } = await start(WORKER, [name, address, tier], { execArgv: ['--expose-gc'] })
    return new Worker(name, child)
  }

  async ask(question) {
    const answer = await ask(this.#process, question)
    if (answer.failed !== undefined) throw new Error(`${this.#name}, ${question.task}: ${answer.failed}`)
    return answer
  }

  kill() {
    this.#process.kill('SIGKILL')
  }
}

async function withServer(task) {
  const server = await launch({ realMemcached: true, memoryLimitMb: 512 })
  try {
    await task(server.address)
  } finally {
    server.stop()
  }
}

function speedOf(rounds) {
  const perSecond = median(rounds.map((round) => round.perSecond))
  const cpuMicroseconds = median(rounds.map((round) => round.cpuMicroseconds))
  return `${(perSecond / 1000).toFixed(1)} k (${cpuMicroseconds.toFixed(1)})`
}

/** Returns a list that begins with another member each time, since a core is faster or slower after a pause. */
function rotated(list, by) {
  const start = by % list.length
  return [...list.slice(start), ...list.slice(0, start)]
}

function document(table) {
  return `# The cache beside its peers

${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${cpus().length} shared cores of a virtual machine.

\`\`\`sh
npm run bench -- cache --save
\`\`\`

Debian's memcached, \`getOrSet\` (\`wrap\` of cache-manager) with 50 callers, each cache in a process of its own and with its
defaults; medians of ${ROUNDS} rounds of ${MILLISECONDS} ms, in which they take turns; ${STAMPEDES} stampedes. cacheable and cache-manager use @keyv/memcache, as their documentation says; bentocache has no driver for memcached, and uses a driver of this benchmark over memjs
(\`bench/cache/bentocache-memjs-driver.js\`).

${table}

What it does not show: what is returned while a value is invalidated, or when memcached is away, where they differ more
(\`packages/kit/test/interleavings.test.ts\`, \`npm run judge -- cacheAway\`). The caches differ in memory, too: memcache-ts gives every caller a copy, and checks once a second in memcached whether a value is still current; bentocache keeps text and parses it; cacheable and cache-manager clone, and see changes of other processes only when the lifetime ends. The cores are shared: only the
ratios of one run mean something.
`
}
