import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { launch } from './launch.js'

export const description = '4 processes × 1000 concurrent getOrSet of one cold key over one server: 1 loader call'

const PROCESSES = 4
const CALLS = 1000
const RUNS = 20
const LOADER_MS = 100
const CALLER = fileURLToPath(new URL('stampede-caller.js', import.meta.url))

export async function run({ realMemcached }) {
  const server = await launch({ realMemcached })
  const callers = Array.from({ length: PROCESSES }, () =>
    fork(CALLER, [server.address, String(CALLS), String(LOADER_MS)]),
  )
  try {
    await Promise.all(callers.map((caller) => once(caller, 'message')))
    const loads = []
    const wrong = []
    const milliseconds = []
    for (let round = 0; round < RUNS; round++) {
      const start = performance.now()
      const answers = callers.map((caller) => once(caller, 'message'))
      for (const caller of callers) caller.send(`cold:${round}`)
      const results = (await Promise.all(answers)).map(([result]) => result)
      milliseconds.push(performance.now() - start)
      loads.push(results.reduce((sum, result) => sum + result.loads, 0))
      wrong.push(results.reduce((sum, result) => sum + result.wrong, 0))
    }
    const aloneRuns = loads.filter((count) => count === 1).length
    const median = milliseconds.sort((a, b) => a - b)[Math.floor(RUNS / 2)]
    const wrongs = wrong.reduce((a, b) => a + b, 0)
    return {
      reached: aloneRuns === RUNS && wrongs === 0,
      figure:
        `one loader call in ${aloneRuns} of ${RUNS} runs (calls: ${[...new Set(loads)].join(', ')}), ${wrongs} wrong values, ` +
        `median ${median.toFixed(0)} ms a run with a loader of ${LOADER_MS} ms, on ${realMemcached ? 'memcached' : 'memcache-ts-server'}`,
    }
  } finally {
    for (const caller of callers) caller.kill()
    server.stop()
  }
}
