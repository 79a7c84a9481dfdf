import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { launch } from '../judge/launch.js'
import { chartOf } from './chart.js'
import { clients } from './clients.js'
import { workloads } from './workloads.js'

export const description =
  'operations a second beside memjs, memcached, memcache-client and memcache, on the real memcached'

const OURS = 'memcache-ts-client'
const ROUNDS = Number(process.env.ROUNDS ?? 5)
const MILLISECONDS = Number(process.env.MILLISECONDS ?? 500)
const SERVER_CPU = 0
const CLIENT_CPU = 1

/** A turn takes well under two seconds: a client that has not come to an end after so long never will. */
const PATIENCE_MS = MILLISECONDS + 5000
/** No round begins later than this. */
const TOTAL_MS = 200_000

/**
 * Every client in a process of its own, all on one processor and memcached on the other; in each round every client has
 * its turn at every workload, and the medians of the rounds are compared. A client that crashes, or does not come to an
 * end, has no further turn at that workload.
 */
export async function measureClients({ only = () => true } = {}) {
  const began = performance.now()
  const server = await launch({ realMemcached: true, memoryLimitMb: 256 })
  pin(server.pid, SERVER_CPU)
  const workers = new Map()
  try {
    for (const name of Object.keys(clients)) workers.set(name, await startWorker(name, server.address))
    const chosen = Object.keys(workloads).filter(only)
    const floors = {}
    const failures = {}
    const measured = Object.fromEntries(chosen.map((workload) => [workload, {}]))
    let rounds = 0
    while (rounds < ROUNDS && (rounds === 0 || performance.now() - began < TOTAL_MS)) {
      rounds++
      for (const workload of chosen) {
        for (const name of rotated([...workers.keys()], rounds)) {
          const failed = (failures[workload] ??= {})
          if (failed[name] !== undefined) continue
          const worker = workers.get(name)
          const figure = await askWorker(worker, { workload })
          if (figure.failed === undefined) {
            ;(measured[workload][name] ??= []).push(figure)
            continue
          }
          console.log(`  ${name}, ${workload}: ${[figure.failed, figure.by].filter(Boolean).join(': ')}`)
          failed[name] = figure.failed
          worker.kill('SIGKILL')
          workers.set(name, await startWorker(name, server.address))
        }
        if (workloads[workload].floor === undefined) continue
        const { perSecond } = await askWorker(workers.get(OURS), { workload, bare: true })
        if (perSecond !== undefined) (floors[workload] ??= []).push(perSecond)
      }
      console.log(`  round ${rounds} of ${ROUNDS}`)
    }
    return chosen.map((workload) =>
      summary(workload, { figures: measured[workload], floors: floors[workload], failed: failures[workload], rounds }),
    )
  } finally {
    for (const worker of workers.values()) worker.kill('SIGKILL')
    server.stop()
  }
}

export async function run({ save }) {
  const summaries = await measureClients()
  const table = tableOf(summaries)
  console.log(table)
  if (!save) return
  writeFileSync(new URL('../results/client.md', import.meta.url), document(table, summaries[0].rounds))
  writeFileSync(new URL('../../docs/images/client-speed.svg', import.meta.url), chartOf(summaries))
}

async function askWorker(worker, question) {
  worker.send({ ...question, milliseconds: MILLISECONDS })
  return messageOf(worker)
}

/** The next message of a worker, or why there is none. */
async function messageOf(worker) {
  const ended = new AbortController()
  const { signal } = ended
  try {
    return await Promise.race([
      once(worker, 'message', { signal }).then(([message]) => message),
      once(worker, 'exit', { signal }).then(([code, by]) => ({ failed: 'crashed', by: by ?? `exit ${code}` })),
      setTimeout(PATIENCE_MS, undefined, { signal }).then(() => ({ failed: `no end in ${PATIENCE_MS / 1000} s` })),
    ])
  } finally {
    ended.abort()
  }
}

async function startWorker(name, address) {
  const worker = fork(fileURLToPath(new URL('worker.js', import.meta.url)), [name, address])
  // A worker that was killed in the middle of a message.
  worker.on('error', () => {})
  const started = await messageOf(worker)
  if (started.failed !== undefined) throw new Error(`${name} cannot be started: ${started.failed} ${started.by ?? ''}`)
  pin(worker.pid, CLIENT_CPU)
  return worker
}

/** Every thread of a process to one processor. */
function pin(pid, cpu) {
  execFileSync('taskset', ['-a', '-p', '-c', String(cpu), String(pid)], { stdio: 'ignore' })
}

function summary(workload, { figures, floors, failed, rounds }) {
  const medians = Object.fromEntries(
    Object.entries(figures).map(([name, rounds]) => [
      name,
      {
        perSecond: median(rounds.map((round) => round.perSecond)),
        cpuMicroseconds: median(rounds.map((round) => round.cpuMicroseconds)),
      },
    ]),
  )
  const best = Math.max(...Object.keys(medians).flatMap((name) => (name === OURS ? [] : [medians[name].perSecond])))
  const { goal } = workloads[workload]
  const ours = medians[OURS]
  const floor = floors && median(floors)
  return { workload, goal, medians, floor, failed, rounds, ratio: ours.perSecond / best, cpu: ours.cpuMicroseconds }
}

export function tableOf(summaries) {
  const names = Object.keys(clients)
  return [
    `| operations a second (µs of processor each) | ${names.join(' | ')} | a bare socket | ours to the best other | goal |`,
    `| --- | ${names.map(() => '---').join(' | ')} | --- | --- | --- |`,
    ...summaries.map(({ workload, medians, floor, failed, ratio, goal }) => {
      const cells = names.map((name) => failed[name] ?? figureOf(medians[name]))
      const bare = floor === undefined ? '' : `${(floor / 1000).toFixed(1)} k`
      return `| ${workload} | ${cells.join(' | ')} | ${bare} | ${ratio.toFixed(2)} | ${goal} |`
    }),
  ].join('\n')
}

function figureOf(figure) {
  if (figure === undefined) return '–'
  const { perSecond, cpuMicroseconds } = figure
  return `${(perSecond / 1000).toFixed(1)} k (${cpuMicroseconds.toFixed(1)})`
}

/** Returns a list that begins with another member each time, since a core is faster or slower after a pause. */
function rotated(list, by) {
  const start = by % list.length
  return [...list.slice(start), ...list.slice(0, start)]
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]
}

function document(table, rounds) {
  return `# The client beside its peers

${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${cpus().length} shared cores of a virtual machine.

\`\`\`sh
npm run bench -- client --save
\`\`\`

Debian's memcached \`-t 1\` on one core, all clients on the other, each in a process of its own and with its public
defaults; texts of 100 characters are stored and read back as texts. Medians of ${rounds} rounds of ${MILLISECONDS} ms, in which the clients take turns.
If a client crashed in a round, or did not finish it, the table says so, and the client is left out of further rounds of that workload.

${table}

"A bare socket" writes the same bytes again and again on as many connections, without any caller
(\`bench/client/floor.js\`): it shows what memcached on one core can do on this machine. If our client is near it, the row measures memcached, and the ratio to the others says little about our client.

What it does not show: several servers, latency under an even load, or what a client does when something fails; memjs has
no multi-get, so 100 gets stand for it. The cores are shared: only the ratios of one run mean something.
`
}
