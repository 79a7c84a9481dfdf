import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { launch } from '../judge/launch.js'
import { chartOf } from './chart.js'
import { clients } from './clients.js'
import { workloads } from './workloads.js'

export const description =
  'operations a second beside memjs, memcached, memcache-client and memcache, on the real memcached'

const OURS = 'memcache-ts-client'
const ROUNDS = Number(process.env.ROUNDS ?? 5)
const MILLISECONDS = Number(process.env.MILLISECONDS ?? 1000)
const SERVER_CPU = 0
const CLIENT_CPU = 1

/**
 * Every client in a process of its own, all on one processor and memcached on the other; in each round every client has
 * its turn at every workload, and the medians of the rounds are compared.
 */
export async function measureClients({ only = () => true } = {}) {
  const server = await launch({ realMemcached: true, memoryLimitMb: 256 })
  pin(server.pid, SERVER_CPU)
  const workers = new Map()
  try {
    for (const name of Object.keys(clients)) workers.set(name, await startWorker(name, server.address))
    const chosen = Object.keys(workloads).filter(only)
    const floors = {}
    const measured = Object.fromEntries(chosen.map((workload) => [workload, {}]))
    for (let round = 1; round <= ROUNDS; round++) {
      for (const workload of chosen) {
        for (const name of rotated([...workers.keys()], round)) {
          const worker = workers.get(name)
          const figure = await askWorker(worker, { workload })
          if (figure.failed === undefined) (measured[workload][name] ??= []).push(figure)
          else {
            console.log(`  ${name}, ${workload}: ${figure.failed}`)
            worker.kill('SIGKILL')
            workers.set(name, await startWorker(name, server.address))
          }
        }
        if (workloads[workload].floor === undefined) continue
        const { perSecond } = await askWorker(workers.get(OURS), { workload, bare: true })
        ;(floors[workload] ??= []).push(perSecond)
      }
      console.log(`  round ${round} of ${ROUNDS}`)
    }
    return chosen.map((workload) => summary(workload, measured[workload], floors[workload]))
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
  writeFileSync(new URL('../results/client.md', import.meta.url), document(table))
  writeFileSync(new URL('../../docs/images/client-speed.svg', import.meta.url), chartOf(summaries))
}

/** A client that has not come to an end after this long never will. */
const PATIENCE_MS = 20_000

async function askWorker(worker, question) {
  worker.send({ ...question, milliseconds: MILLISECONDS })
  try {
    const [figure] = await once(worker, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) })
    return figure
  } catch {
    return { failed: `no end after ${PATIENCE_MS / 1000} s` }
  }
}

async function startWorker(name, address) {
  const worker = fork(fileURLToPath(new URL('worker.js', import.meta.url)), [name, address])
  await once(worker, 'message')
  pin(worker.pid, CLIENT_CPU)
  return worker
}

/** Every thread of a process to one processor. */
function pin(pid, cpu) {
  execFileSync('taskset', ['-a', '-p', '-c', String(cpu), String(pid)], { stdio: 'ignore' })
}

function summary(workload, figures, floors) {
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
  return { workload, goal, medians, floor, ratio: ours.perSecond / best, cpu: ours.cpuMicroseconds }
}

export function tableOf(summaries) {
  const names = Object.keys(clients)
  return [
    `| operations a second (µs of processor each) | ${names.join(' | ')} | a bare socket | ours to the best other | goal |`,
    `| --- | ${names.map(() => '---').join(' | ')} | --- | --- | --- |`,
    ...summaries.map(({ workload, medians, floor, ratio, goal }) => {
      const cells = names.map((name) => figureOf(medians[name]))
      const bare = floor === undefined ? '' : `${(floor / 1000).toFixed(1)} k`
      return `| ${workload} | ${cells.join(' | ')} | ${bare} | ${ratio.toFixed(2)} | ${goal} |`
    }),
  ].join('\n')
}

function figureOf(figure) {
  // It failed in every round.
  if (figure === undefined) return '–'
  const { perSecond, cpuMicroseconds } = figure
  return `${(perSecond / 1000).toFixed(1)} k (${cpuMicroseconds.toFixed(1)})`
}

/** Another one goes first each time: a processor is not the same after a rest. */
function rotated(list, by) {
  const start = by % list.length
  return [...list.slice(start), ...list.slice(0, start)]
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]
}

function document(table) {
  return `# The client beside its peers

${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${cpus().length} shared cores of a virtual machine.

\`\`\`sh
npm run bench -- client --save
\`\`\`

Debian's memcached \`-t 1\` on one core, all clients on the other, each in a process of its own and with its public
defaults; texts of 100 characters are stored and read back as texts. Medians of ${ROUNDS} rounds of ${MILLISECONDS} ms, in which the clients take turns.

${table}

"A bare socket" is the same bytes written again and again on as many connections, with nobody to answer to
(\`bench/client/floor.js\`): what memcached on one core gives this machine. Where ours is near it, memcached is what is
measured, and the ratio to the others says more of them and of it than of the client.

What it does not show: several servers, latency under an even load, or what a client does when something fails; memjs has
no multi-get, so 100 gets stand for it. The cores are shared: only the ratios of one run mean something.
`
}
