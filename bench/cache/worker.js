// One cache in a process of its own: `worker.js <cache> <address> <memory|memcached>`; carries out the commands of its
// messages.
import { caches } from './caches.js'

const [name, address, tier] = process.argv.slice(2)
const cache = await caches[name](address, tier === 'memory')

const KEYS = 5000
const CALLERS = 50
let cold = 0

const cityOf = (id) => ({ id, name: `city ${id}`, country: 'FR', lat: 48.1, lon: 11.6, population: 1000 + id })
const keyOf = (id) => `city:${id}`

const tasks = {
  /** Values that are there. */
  async hits({ milliseconds }) {
    await inFlight(KEYS, (id) => cache.getOrSet(keyOf(id), () => cityOf(id)))
    const ask = async (id) => {
      const city = await cache.getOrSet(keyOf(id % KEYS), () => ({ id: 'loaded' }))
      if (city.id !== id % KEYS) throw new Error(`a hit gave ${JSON.stringify(city)}`)
    }
    await measured(milliseconds / 3, ask)
    return measured(milliseconds, ask)
  },

  /** Values that are not there, and are loaded at once. */
  async misses({ milliseconds }) {
    const ask = () => {
      const id = cold++
      return cache.getOrSet(`${process.pid}:cold:${id}`, () => cityOf(id))
    }
    await measured(milliseconds / 3, ask)
    return measured(milliseconds, ask)
  },

  /** Many callers of one cold key at once. */
  async stampede({ key, calls, loaderMs }) {
    let loads = 0
    const load = async () => {
      loads++
      await new Promise((resolve) => setTimeout(resolve, loaderMs))
      return { key }
    }
    await Promise.all(Array.from({ length: calls }, () => cache.getOrSet(key, load)))
    return { loads }
  },

  /** The heap that so many objects in memory take, each of them. */
  async memory({ items }) {
    globalThis.gc()
    const before = process.memoryUsage().heapUsed
    await inFlight(items, (id) => cache.getOrSet(`kept:${id}`, () => cityOf(id)))
    globalThis.gc()
    return { bytes: (process.memoryUsage().heapUsed - before) / items }
  },
}

/** Every id once, so many at a time. */
async function inFlight(count, ask) {
  let next = 0
  const caller = async () => {
    while (next < count) await ask(next++)
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
}

/** How many are answered in a time, and what each costs this process. */
async function measured(milliseconds, ask) {
  let asked = 0
  const cpu = process.cpuUsage()
  const start = performance.now()
  const caller = async () => {
    while (performance.now() - start < milliseconds) await ask(asked++)
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return { perSecond: asked / seconds, cpuMicroseconds: (user + system) / asked }
}

process.on('message', ({ task, ...options }) => {
  void tasks[task](options)
    .catch((error) => ({ failed: String(error) }))
    .then((result) => process.send(result))
})
process.on('disconnect', () => process.exit())
process.send('ready')
