import { memcache } from 'memcache-ts'
import { median } from './figures.js'
import { launch } from './launch.js'

export const description =
  'a tag of a million entries is invalidated as fast as one of ten, and reading an entry with a tag takes no round trip more'

const MANY = 1_000_000
const FEW = 10
const BATCH = 1000
const ROUNDS = 21
const READS = 200
/** The most that the second request in the same pipeline may cost; another round trip would cost about twice as much. */
const MAX_READ_RATIO = 1.6
const MAX_MS = 20

export async function run({ realMemcached }) {
  const server = await launch({ realMemcached, memoryLimitMb: 1024 })
  const cache = memcache({ servers: server.address, logger: false, timeoutMs: 5000 })
  try {
    for (let from = 0; from < MANY; from += BATCH) {
      const ids = Array.from({ length: BATCH }, (_, index) => from + index)
      await cache.getOrSetMany(ids, (missing) => [...missing], {
        key: (id) => ['m', id],
        tags: () => ['many'],
        ttlSeconds: '1d',
      })
      if (from % 200_000 === 0) console.log(`  ${from} entries`)
    }
    const ids = Array.from({ length: FEW }, (_, index) => index)
    await cache.getOrSetMany(ids, (missing) => [...missing], { key: (id) => ['f', id], tags: () => ['few'] })
    const before = (
      await cache.getMany([
        ['m', 1],
        ['m', MANY - 1],
      ])
    ).size
    const many = await timed(() => cache.invalidateTags(['many']))
    const few = await timed(() => cache.invalidateTags(['few']))
    const left = (await cache.getMany(Array.from({ length: 1000 }, (_, index) => ['m', index * 997]))).size
    const ratio = await readRatio(cache)
    return {
      reached: before === 2 && left === 0 && many <= MAX_MS && ratio <= MAX_READ_RATIO,
      figure: `${MANY} entries ${many.toFixed(2)} ms (at most ${MAX_MS}), ${FEW} entries ${few.toFixed(2)} ms, ${left} of 1000 left; a read with a tag takes ${ratio.toFixed(2)} × one without (at most ${MAX_READ_RATIO})`,
    }
  } finally {
    await cache.close()
    server.stop()
  }
}

async function readRatio(cache) {
  const load = () => 'value'
  const ratios = []
  for (let round = 0; round < ROUNDS; round++) {
    const bare = await timed(() => reads(cache, 'bare', load, {}))
    const tagged = await timed(() => reads(cache, 'tagged', load, { tags: ['t'] }))
    ratios.push(tagged / bare)
  }
  return median(ratios)
}

async function reads(cache, key, load, options) {
  for (let read = 0; read < READS; read++) await cache.getOrSet(key, load, options)
}

async function timed(task) {
  const start = performance.now()
  await task()
  return performance.now() - start
}
