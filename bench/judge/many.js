import { Callers } from './callers.js'
import { median } from './figures.js'
import { launch } from './launch.js'

export const description =
  'getOrSetMany of 1000 cold keys in 4 processes at once: each key is loaded once, by one call a process at most'

const PROCESSES = 4
const KEYS = 1000
const RUNS = 20
const LOADER_MS = 50

export async function run({ realMemcached }) {
  const server = await launch({ realMemcached })
  const callers = await Callers.start(PROCESSES, server.address, 'many')
  const took = []
  let [twice, wrong, mostCalls] = [0, 0, 0]
  try {
    for (let round = 0; round < RUNS; round++) {
      const results = await callers.all({ from: round * KEYS, count: KEYS, loaderMs: LOADER_MS })
      const loaded = results.flatMap((result) => result.loaded)
      twice += loaded.length - KEYS
      wrong += results.reduce((sum, result) => sum + result.wrong, 0)
      mostCalls = Math.max(mostCalls, ...results.map((result) => result.calls))
      took.push(Math.max(...results.map((result) => result.tookMs)))
    }
  } finally {
    callers.kill()
    server.stop()
  }
  return {
    reached: twice === 0 && wrong === 0 && mostCalls <= 1,
    figure: `${RUNS} runs: ${twice} keys loaded twice, ${wrong} wrong values, at most ${mostCalls} calls a process, median ${median(took).toFixed(0)} ms with a loader of ${LOADER_MS} ms`,
  }
}
