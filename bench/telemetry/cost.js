import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { launchServer } from 'memcache-ts-testing'
import { ask, start } from '../child.js'
import { WAYS } from './ways.js'

export const description =
  'processor time of a getOrSet hit without telemetry, with OpenTelemetry in several settings, and with the SDK alone'

const ROUNDS = 21
const WARM_UP_ROUNDS = 3

export async function run({ save }) {
  const server = await launchServer()
  const names = Object.keys(WAYS)
  const processes = []
  const times = names.map(() => /** @type {number[]} */ ([]))
  try {
    for (const name of names) processes.push(await startProcess(name, server.address))
    for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
      for (const [index, child] of processes.entries()) {
        const microseconds = await ask(child, 'round')
        if (round >= 0) times[index].push(microseconds)
      }
    }
  } finally {
    for (const child of processes) if (child.connected) child.disconnect()
    await server.kill()
  }
  const lines = names.map((name, index) => {
    // Rounds that were measured one after another are compared, since the machine's speed varies.
    const ratio = median(times[index].map((time, round) => time / times[0][round]))
    return `| ${name} | ${median(times[index]).toFixed(1)} | ${ratio.toFixed(2)} |`
  })
  const table = ['| | µs a hit | × without |', '| --- | --- | --- |', ...lines].join('\n')
  console.log(table)
  if (save) writeFileSync(new URL('../results/telemetry.md', import.meta.url), document(table))
}

async function startProcess(name, address) {
  const { child } = await start(fileURLToPath(new URL('worker.js', import.meta.url)), [name, address])
  return child
}

function median(list) {
  return list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]
}

function document(table) {
  return `# What telemetry costs

${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${cpus().length} shared cores of a virtual machine.

Processor time of the application's process for a \`getOrSet\` that is a hit in memcached, one at a time, over loopback. Each row is a process of its own, as an application is
instrumented once; the processes take turns, and the table has the median of ${ROUNDS} rounds, and the median of each round's ratio to the round without telemetry. A hit with every span makes two of them, one of the kit and one of the client;
spans go to a batch processor, and durations to a periodic reader, whose exporters send nothing, so that a collector's network is not in the figure.

    npm run bench -- telemetry --save

${table}

The rows "the SDK alone" have no instrumentation of ours: the benchmark itself starts and ends the spans and records the duration around the same hit. They are the least that
spans and a histogram cost with the JavaScript SDK; the difference to the rows above is ours. The row "AsyncLocalStorage" is the least for the rows within a request.

What it does not show: calls in parallel, where a hit costs less and spans the same, so that their share is larger; and a collector.
`
}
