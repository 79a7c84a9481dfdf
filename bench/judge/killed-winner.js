import { setTimeout as pause } from 'node:timers/promises'
import { Callers } from './callers.js'
import { launch } from './launch.js'

export const description =
  'the process that loads is killed: the others have a value within the lease + 250 ms, by 2 loader calls at most'

const RUNS = 5
const LEASE_SECONDS = 3
const MARGIN_MS = 250
const LOADER_MS = 20

export async function run({ realMemcached }) {
  const server = await launch({ realMemcached })
  const options = { cache: { leaseSeconds: LEASE_SECONDS } }
  const took = []
  const loads = []
  const waiters = await Callers.start(3, server.address, 'stampede', options)
  try {
    for (let round = 0; round < RUNS; round++) {
      const winner = await Callers.start(1, server.address, 'hang', options)
      const key = `killed:${round}`
      await winner.all({ key })
      const waiting = waiters.all({ key, calls: 50, loaderMs: LOADER_MS })
      // Until they have found out that another process is loading.
      await pause(50)
      const start = performance.now()
      winner.kill()
      const results = await waiting
      took.push(performance.now() - start)
      // The dead one's was the first.
      loads.push(1 + results.reduce((sum, result) => sum + result.loads, 0))
      console.log(
        `  round ${round + 1}: a value ${took.at(-1).toFixed(0)} ms after the kill, ${loads.at(-1)} loader calls`,
      )
    }
  } finally {
    waiters.kill()
    server.stop()
  }
  const slowest = Math.max(...took)
  return {
    reached: slowest <= LEASE_SECONDS * 1000 + MARGIN_MS && Math.max(...loads) <= 2,
    figure: `the slowest had a value ${slowest.toFixed(0)} ms after the kill (at most ${LEASE_SECONDS * 1000 + MARGIN_MS}), ${Math.max(...loads)} loader calls (at most 2)`,
  }
}
