import { Callers } from './callers.js'
import { median } from './figures.js'
import { launch } from './launch.js'
import { logFaults } from './limits-log.js'

export const description =
  'a limit of 100, 4 processes × 250 calls at once: exactly 100 allowed in 100 of 100 runs, of each algorithm; calls at random times: by an exact log never more than the limit, and nobody denied again who comes back when told'

const PROCESSES = 4
const CALLS = 250
const LIMIT = 100
const RUNS = 100
const ALGORITHMS = ['sliding', 'fixed', 'gcra']
const LOGGED_MS = 4000
const LOGGED = [
  { limit: 20, windowMs: 300 },
  { limit: 7, windowMs: 1000, blockMs: 400 },
]

export async function run({ realMemcached }) {
  const server = await launch({ realMemcached })
  const callers = await Callers.start(PROCESSES, server.address, 'limit')
  const loggers = await Callers.start(PROCESSES, server.address, 'limitLog')
  const returners = await Callers.start(PROCESSES, server.address, 'comeBack')
  try {
    const figures = []
    let reached = true
    for (const algorithm of ALGORITHMS) {
      const allowed = []
      const milliseconds = []
      for (let round = 0; round < RUNS; round++) {
        const start = performance.now()
        const results = await callers.all({ id: `client ${round}`, algorithm, limit: LIMIT, calls: CALLS })
        milliseconds.push(performance.now() - start)
        allowed.push(results.reduce((sum, result) => sum + result.allowed, 0))
      }
      const exact = allowed.filter((count) => count === LIMIT).length
      const log = await judgeLogs(loggers, returners, algorithm)
      reached &&= exact === RUNS && log.reached
      figures.push(
        `${algorithm} in ${exact} of ${RUNS} (${Math.min(...allowed)} to ${Math.max(...allowed)}), median ${median(milliseconds).toFixed(0)} ms for all; ${log.figure}`,
      )
    }
    return { reached, figure: `${figures.join('; ')}; on ${realMemcached ? 'memcached' : 'memcache-ts-server'}` }
  } finally {
    callers.kill()
    loggers.kill()
    returners.kill()
    server.stop()
  }
}

/** Compares the results of processes at random times with the correct ones. */
async function judgeLogs(loggers, returners, algorithm) {
  let calls = 0
  let faults = 0
  let denials = 0
  let broken = 0
  for (const [index, limits] of LOGGED.entries()) {
    const options = { id: `logged ${index}`, milliseconds: LOGGED_MS, algorithm, ...limits }
    const logs = await loggers.all({ ...options, most: 3 })
    const log = logs.flatMap((result) => result.log)
    calls += log.length
    faults += logFaults(algorithm, limits, log)
    for (const result of await returners.all(options)) {
      denials += result.denials
      broken += result.broken
    }
  }
  return {
    reached: faults === 0 && broken === 0 && denials > 0,
    figure: `${calls} calls logged, ${faults} windows with more than the limit; ${broken} of ${denials} denied again who came back when told`,
  }
}
