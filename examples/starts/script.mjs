// A script, a worker, or any other code.
//
//   npm install memcache-ts
//   node script.mjs
import { memcache } from 'memcache-ts'

// The servers of MEMCACHE_SERVERS, or a memcached in this process.
const cache = memcache({ prefix: 'shop' })

let queries = 0
async function loadCity(id) {
  queries++
  return { id, name: `City ${id}` }
}

try {
  // One load for all concurrent callers, in all processes; then five minutes from the cache.
  const cities = await Promise.all([7, 7, 7].map((id) => cache.getOrSet(['city', id], () => loadCity(id), '5m')))
  console.log(`${cities.length} cities of ${queries} query`)

  await cache.delete(['city', 7])
  console.log(await cache.getOrSet(['city', 7], () => loadCity(7), '5m'))
} finally {
  await cache.close()
}
