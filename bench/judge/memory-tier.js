import { memcache } from 'memcache-ts'
import { median } from './figures.js'
import { launch } from './launch.js'

export const description = 'a value in memory: at most 1 µs at the median, 500 000 a second, and never staler than 1 s'

const MAX_MICROSECONDS = 1
const MIN_PER_SECOND = 500_000
const MAX_STALE_MS = 1000
const ROUNDS = 15
const CALLS = 50_000
const CHANGES = 10

const VALUES = {
  string: 'x'.repeat(100),
  'object-of-10': Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`field${index}`, index])),
}

export async function run({ realMemcached }) {
  const server = await launch({ realMemcached })
  const cache = memcache({ servers: server.address, logger: false, l1: { values: 'frozen' } })
  const copies = memcache({ servers: server.address, logger: false, l1: true })
  try {
    const figures = []
    let reached = true
    for (const [name, value] of Object.entries(VALUES)) {
      const shared = await speed(cache, name, value)
      const copied = await speed(copies, name, value)
      reached &&= shared <= MAX_MICROSECONDS && 1e6 / shared >= MIN_PER_SECOND
      figures.push(`${name} ${shared.toFixed(2)} µs frozen, ${copied.toFixed(2)} µs copied`)
    }
    const staleMs = await staleness(copies, cache)
    reached &&= staleMs <= MAX_STALE_MS
    return {
      reached,
      figure: `${figures.join('; ')} (frozen at most ${MAX_MICROSECONDS}), a change seen by another cache within ${staleMs.toFixed(0)} ms (at most ${MAX_STALE_MS})`,
    }
  } finally {
    await Promise.all([cache.close(), copies.close()])
    server.stop()
  }
}

/** Microseconds a call, one after the other. */
async function speed(cache, name, value) {
  const load = () => value
  const rounds = []
  for (let round = 0; round < ROUNDS; round++) {
    await cache.getOrSet(['city', name], load, 600)
    const start = performance.now()
    for (let call = 0; call < CALLS; call++) await cache.getOrSet(['city', name], load, 600)
    rounds.push(((performance.now() - start) * 1000) / CALLS)
  }
  return median(rounds)
}

/** How long after a change was confirmed the old value was last seen elsewhere. */
async function staleness(writer, reader) {
  let worst = 0
  await writer.set('stale', 0)
  for (let change = 1; change <= CHANGES; change++) {
    await reader.getOrSet('stale', () => change - 1)
    await writer.set('stale', change)
    const confirmed = performance.now()
    for (;;) {
      const asked = performance.now()
      if ((await reader.getOrSet('stale', () => -1)) === change) break
      worst = Math.max(worst, asked - confirmed)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }
  return worst
}
