import { Callers } from './callers.js'
import { median } from './figures.js'
import { launch } from './launch.js'

export const description =
  '4 processes × 1000 concurrent getOrSet of one cold key over one server: 1 loader call in 100 of 100 runs, at most 30 ms over the loader'

const PROCESSES = 4
const CALLS = 1000
const RUNS = 100
const LOADER_MS = 100
const MAX_OVER_MS = 30

export async function run({ realMemcached }) {
  const server = await launch({ realMemcached })
  const callers = await Callers.start(PROCESSES, server.address, 'stampede')
  try {
    const loads = []
    const milliseconds = []
    let wrong = 0
    for (let round = 0; round < RUNS; round++) {
      const start = performance.now()
      const results = await callers.all({ key: `cold:${round}`, calls: CALLS, loaderMs: LOADER_MS })
      milliseconds.push(performance.now() - start)
      loads.push(results.reduce((sum, result) => sum + result.loads, 0))
      wrong += results.reduce((sum, result) => sum + result.wrong, 0)
    }
    const aloneRuns = loads.filter((count) => count === 1).length
    const overMs = median(milliseconds) - LOADER_MS
    return {
      reached: aloneRuns === RUNS && wrong === 0 && overMs <= MAX_OVER_MS,
      figure:
        `one loader call in ${aloneRuns} of ${RUNS} runs (calls: ${[...new Set(loads)].join(', ')}), ${wrong} wrong values, ` +
        `median ${overMs.toFixed(0)} ms over the loader's ${LOADER_MS} (at most ${MAX_OVER_MS}), on ${realMemcached ? 'memcached' : 'memcache-ts-server'}`,
    }
  } finally {
    callers.kill()
    server.stop()
  }
}
