import { Callers } from './callers.js'
import { median } from './figures.js'
import { launch } from './launch.js'

export const description =
  'a limit of 100, 4 processes × 250 calls at once: exactly 100 allowed in 100 of 100 runs, of each algorithm'

const PROCESSES = 4
const CALLS = 250
const LIMIT = 100
const RUNS = 100

export async function run({ realMemcached }) {
  const server = await launch({ realMemcached })
  const callers = await Callers.start(PROCESSES, server.address, 'limit')
  try {
    const figures = []
    let reached = true
    for (const algorithm of ['sliding', 'fixed', 'gcra']) {
      const allowed = []
      const milliseconds = []
      for (let round = 0; round < RUNS; round++) {
        const start = performance.now()
        const results = await callers.all({ id: `client ${round}`, algorithm, limit: LIMIT, calls: CALLS })
        milliseconds.push(performance.now() - start)
        allowed.push(results.reduce((sum, result) => sum + result.allowed, 0))
      }
      const exact = allowed.filter((count) => count === LIMIT).length
      reached &&= exact === RUNS
      figures.push(
        `${algorithm} in ${exact} of ${RUNS} (${Math.min(...allowed)} to ${Math.max(...allowed)}), median ${median(milliseconds).toFixed(0)} ms for all`,
      )
    }
    return { reached, figure: `${figures.join('; ')}; on ${realMemcached ? 'memcached' : 'memcache-ts-server'}` }
  } finally {
    callers.kill()
    server.stop()
  }
}
