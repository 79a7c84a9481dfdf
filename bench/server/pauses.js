import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { launch } from '../judge/launch.js'

export const description =
  'how long one request waits while the server is filled beyond its memory: ours, memcached, and a process that does nothing else'

const MEMORY_MB = 128
const ROUNDS = 5
const SECONDS = 6
const MEASURES = ['p50', 'p99', 'p999', 'max']

/** The subjects: our server and memcached under load, and the machine itself. */
const SUBJECTS = {
  ours: () => launch({ memoryLimitMb: MEMORY_MB }),
  memcached: () => launch({ realMemcached: true, memoryLimitMb: MEMORY_MB }),
  'idle process': launchIdle,
}

export async function run({ save }) {
  const rounds = []
  for (let round = 0; round < ROUNDS; round++) {
    const figures = {}
    for (const [name, start] of Object.entries(SUBJECTS)) figures[name] = await measure(name, start)
    rounds.push(figures)
    console.log(`  round ${round + 1} of ${ROUNDS}`)
  }
  const medianOf = (name) => (measured) => median(rounds.map((figures) => figures[name][measured])).toFixed(0)
  const rows = Object.keys(SUBJECTS).map((name) => [name].concat(MEASURES.map(medianOf(name))))
  const table = [
    `| | ${MEASURES.join(' µs | ')} µs |`,
    `| --- | ${MEASURES.map(() => '---').join(' | ')} |`,
    ...rows.map((row) => `| ${row.join(' | ')} |`),
  ].join('\n')
  console.log(table)
  if (save) writeFileSync(new URL('../results/server-pauses.md', import.meta.url), document(table))
}

async function measure(name, start) {
  const server = await start()
  const idle = name === 'idle process'
  const load = idle ? undefined : spawnNode('load.js', String(server.port), String(MEMORY_MB))
  try {
    const probe = spawnNode('probe.js', String(server.port), String(SECONDS))
    let printed = ''
    probe.stdout.on('data', (chunk) => (printed += chunk))
    await once(probe, 'close')
    return JSON.parse(printed)
  } finally {
    load?.kill('SIGKILL')
    server.stop()
  }
}

function spawnNode(script, ...args) {
  return spawn(process.execPath, [fileURLToPath(new URL(script, import.meta.url)), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** Answers at once and does nothing else, in this process: what the machine and Node cost. */
async function launchIdle() {
  const server = createServer((socket) => socket.on('data', () => socket.write('EN\r\n')).on('error', () => {}))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: server.address().port, stop: () => server.close() }
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]
}

function document(table) {
  return `# How long a request waits while the server is filled

${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, two shared cores.

\`\`\`sh
npm run bench -- server --save
\`\`\`

A loader stores values of mixed sizes far beyond \`-m ${MEMORY_MB}\`, so that the hash index grows, items are evicted, LRU
segments are balanced and pages move; another process requests one key per millisecond. Medians of ${ROUNDS} rounds of ${SECONDS}
seconds, the three taking turns.

${table}

What it does not show: the loader, the prober and the server share two cores, so that each also waits for the others; the idle process has no load beside it. Compare the rows with each other; they are not latencies of a quiet machine.
`
}
