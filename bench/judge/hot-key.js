import { Callers } from './callers.js'
import { percentile } from './figures.js'
import { launch } from './launch.js'

export const description =
  'a hot key, 100 requests a second in each of 4 processes, over 100 expiries: no request waits for a load, and each expiry has one'

const PROCESSES = 4
const LOADER_MS = 200

/** Lifetimes are whole seconds: one of 1 has an expiry a second. */
const WAYS = {
  staleSeconds: { expiries: 100, everySeconds: 1, getOrSet: { ttlSeconds: 1, staleSeconds: 10, jitter: 0 } },
  earlyRefresh: { expiries: 10, everySeconds: 4, getOrSet: { ttlSeconds: 4, earlyRefresh: true, jitter: 0 } },
}

export async function run({ realMemcached }) {
  const figures = []
  let reached = true
  for (const [way, { expiries, everySeconds, getOrSet }] of Object.entries(WAYS)) {
    const { loads, doubled, slowest, requests } = await measure(realMemcached, getOrSet, expiries * everySeconds)
    reached &&= doubled === 0 && slowest < LOADER_MS && loads >= (expiries * 9) / 10
    figures.push(
      `${way}: ${loads} loads in ${expiries * everySeconds} s, ${doubled} of a value that was loaded again already, the slowest of ${requests} requests ${slowest.toFixed(0)} ms`,
    )
  }
  return { reached, figure: `${figures.join('; ')} (a load takes ${LOADER_MS} ms)` }
}

async function measure(realMemcached, getOrSet, seconds) {
  const server = await launch({ realMemcached })
  const callers = await Callers.start(PROCESSES, server.address, 'hotKey')
  try {
    const message = { key: 'hot', perSecond: 100, milliseconds: 200, loaderMs: LOADER_MS, getOrSet }
    // The first load is of a cold key, for which there is nothing to serve.
    await callers.all(message)
    const results = await callers.all({ ...message, milliseconds: seconds * 1000 })
    const replaced = results.flatMap((result) => result.replaced)
    const took = results.flatMap((result) => result.took)
    return {
      loads: replaced.length,
      doubled: replaced.length - new Set(replaced).size + replaced.filter((value) => value === 'nothing').length,
      slowest: percentile(took, 1),
      requests: took.length,
    }
  } finally {
    callers.kill()
    server.stop()
  }
}
