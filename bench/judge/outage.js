import { memcache } from 'memcache-ts'
import { median, percentile } from './figures.js'
import { launch } from './launch.js'

const CALLS = 2000
const ROUNDS = 5
const MAX_FIRST_MS = 100
/** A timer that fires at 100 ms is not done at 100 ms. */
const TIMER_MS = 15
const MAX_AFTER_MS = 1
const MAX_BACK_MS = 2000

/** The faults of the server, each with the function that ends it. */
export const FAULTS = {
  hung: {
    begin: (server) => process.kill(server.pid, 'SIGSTOP'),
    end: (server) => process.kill(server.pid, 'SIGCONT'),
  },
  refused: { begin: (server) => server.stop(), end: (server) => server.again() },
}

/**
 * Measures the calls while the server hangs or is gone: the first call, later calls, and the time until the server is
 * used again.
 *
 * @param open makes a call by a key out of a cache; it rejects for what counts as an error.
 */
export async function judgeOutage(realMemcached, open) {
  const figures = []
  let reached = true
  for (const [name, fault] of Object.entries(FAULTS)) {
    const { first, after, back, errors } = await measure(fault, realMemcached, open)
    reached &&= first <= MAX_FIRST_MS + TIMER_MS && after <= MAX_AFTER_MS && back <= MAX_BACK_MS && errors === 0
    figures.push(
      `${name}: the first call ${first.toFixed(0)} ms (at most ${MAX_FIRST_MS}, and ${TIMER_MS} for its timer), then p99 ${after.toFixed(2)} ms (at most ${MAX_AFTER_MS}), back in ${back.toFixed(0)} ms (at most ${MAX_BACK_MS}), ${errors} errors`,
    )
  }
  return { reached, figure: figures.join('; ') }
}

async function measure(fault, realMemcached, open) {
  const server = await relaunchable(realMemcached)
  const cache = memcache({ servers: server.address, logger: false })
  const use = open(cache)
  const [first, after, back] = [[], [], []]
  let errors = 0
  const call = async (key) => {
    const start = performance.now()
    await use(key).catch(() => errors++)
    return performance.now() - start
  }
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await call('warm')
      await fault.begin(server)
      first.push(await call(`first:${round}`))
      const times = []
      for (let done = 0; done < CALLS; done++) {
        times.push(await call(`after:${done % 100}`))
        // As requests come: the loop turns in between.
        if (done % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      after.push(percentile(times, 0.99))
      await fault.end(server)
      const start = performance.now()
      while (cache.stats().health !== 'up' && performance.now() - start < 2 * MAX_BACK_MS) {
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      back.push(performance.now() - start)
    }
  } finally {
    await cache.close()
    server.stop()
  }
  return { first: Math.max(...first), after: median(after), back: Math.max(...back), errors }
}

/** A server that can be stopped, and started again at its address. */
export async function relaunchable(realMemcached) {
  let server = await launch({ realMemcached })
  const { port, address } = server
  return {
    address,
    get pid() {
      return server.pid
    },
    stop: () => server.stop(),
    again: async () => {
      server = await launch({ realMemcached, port })
    },
  }
}
