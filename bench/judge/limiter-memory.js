import { memcache, rateLimiter } from 'memcache-ts'
import { launch } from './launch.js'

export const description =
  'a limiter of each algorithm, with and without a block, asked of 1,000,000 different ids: its memory stays under 32 MB, and does not grow in the last half (--limiters=fixed,gcra: these alone)'

const IDS = 1_000_000
const AT_ONCE = 1000
const MAX_MB = 32
/** The growth that is tolerated, since the time of garbage collection varies. */
const MAX_GROWTH_MB = 4
const LIMITERS = {
  sliding: { algorithm: 'sliding', limit: 1, windowMs: 60_000 },
  'sliding with a block': { algorithm: 'sliding', limit: 1, windowMs: 60_000, blockMs: 60_000 },
  fixed: { algorithm: 'fixed', limit: 1, windowMs: 60_000 },
  gcra: { algorithm: 'gcra', limit: 1, windowMs: 60_000 },
}

/** @param {{ realMemcached: boolean; flags: { limiters?: string } }} options */
export async function run({ realMemcached, flags }) {
  const given = flags.limiters?.split(',')
  const server = await launch({ realMemcached, memoryLimitMb: 64 })
  const cache = memcache({ servers: server.address, timeoutMs: 30_000, logger: false })
  const figures = []
  let reached = true
  try {
    for (const [name, options] of Object.entries(LIMITERS)) {
      if (given !== undefined && !given.includes(name)) continue
      const limiter = rateLimiter({ name, cache, ...options })
      await ask(limiter, 0, AT_ONCE)
      const before = heapMb()
      await ask(limiter, AT_ONCE, IDS / 2)
      const half = heapMb()
      await ask(limiter, IDS / 2, IDS)
      const after = heapMb()
      reached &&= after - before <= MAX_MB && after - half <= MAX_GROWTH_MB
      figures.push(`${name} ${(after - before).toFixed(1)} MB, ${(after - half).toFixed(1)} of them in the last half`)
      console.log(`  ${figures.at(-1)}`)
      await limiter.peek('kept until here')
    }
    return { reached, figure: `${IDS} ids each: ${figures.join('; ')}` }
  } finally {
    await cache.close()
    server.stop()
  }
}

/** Each id twice, so that it is denied too. */
async function ask(limiter, from, to) {
  for (let start = from; start < to; start += AT_ONCE) {
    const ids = Array.from({ length: Math.min(AT_ONCE, to - start) }, (_, index) => `client ${start + index}`)
    await Promise.all(ids.map((id) => limiter.consume(id)))
    await Promise.all(ids.map((id) => limiter.consume(id)))
  }
}

function heapMb() {
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return (heapUsed + external) / 2 ** 20
}
