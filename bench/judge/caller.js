// One process of a goal that takes several: it opens a cache, and carries out the commands of its messages.
import { memcache, rateLimiter } from 'memcache-ts'

const [address, task, options = '{}'] = process.argv.slice(2)
const given = JSON.parse(options)
// Thousands of calls that start in one tick keep two cores busy for longer than a request may wait in an application.
const cache = memcache({ servers: address, logger: false, timeoutMs: 2000, ...given.cache })
let version = 0
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

const tasks = {
  /** All its calls of one key at once. */
  async stampede({ key, calls, loaderMs }) {
    let loads = 0
    const load = async () => {
      loads++
      await pause(loaderMs)
      return { key, by: process.pid }
    }
    const values = await Promise.all(Array.from({ length: calls }, () => cache.getOrSet(key, load, 60)))
    return { loads, wrong: values.filter((value) => value.key !== key || value.by !== values[0].by).length }
  },

  /** Takes the lease of a key and never finishes loading. */
  async hang({ key }) {
    void cache.getOrSet(key, () => new Promise(() => process.send({ loading: true })), 60)
    return undefined
  },

  /** Asks for a key at an even rate, and notes what was loaded in place of what, and how long each request took. */
  async hotKey({ key, perSecond, milliseconds, loaderMs, getOrSet }) {
    const replaced = []
    const took = []
    const load = async ({ stale }) => {
      replaced.push(stale ?? 'nothing')
      await pause(loaderMs)
      return `${process.pid}.${++version}`
    }
    const waiting = []
    const start = performance.now()
    for (let asked = 0; performance.now() - start < milliseconds; asked++) {
      const dueMs = (asked * 1000) / perSecond - (performance.now() - start)
      if (dueMs > 0) await pause(dueMs)
      const begun = performance.now()
      waiting.push(cache.getOrSet(key, load, getOrSet).then(() => took.push(performance.now() - begun)))
    }
    await Promise.all(waiting)
    return { replaced, took }
  },

  /** All its calls of one id at once, within a day. */
  async limit({ id, algorithm, limit, calls }) {
    const limiter = rateLimiter({ name: algorithm, perDay: limit, algorithm, cache })
    const results = await Promise.all(Array.from({ length: calls }, () => limiter.consume(id)))
    return { allowed: results.filter((result) => result.allowed).length }
  },

  /** Calls of one id at random times, with the result of each, and its time. */
  async limitLog({ id, milliseconds, most, ...options }) {
    const limiter = rateLimiter({ name: `log ${options.algorithm}`, ...options, cache })
    const log = []
    const endMs = Date.now() + milliseconds
    while (Date.now() < endMs) {
      const cost = 1 + Math.floor(Math.random() * most)
      const atMs = Date.now()
      const { allowed, resetMs } = await limiter.consume(id, { cost })
      log.push({ atMs, cost, allowed, resetMs })
      await pause(Math.random() * 10)
    }
    return { log }
  },

  /** Calls of an id of its own until they are denied, and once more when it was told: how often that was denied again. */
  async comeBack({ id, milliseconds, ...options }) {
    const limiter = rateLimiter({ name: `back ${options.algorithm}`, ...options, cache })
    const own = `${id} ${process.pid}`
    const endMs = Date.now() + milliseconds
    let denials = 0
    let broken = 0
    while (Date.now() < endMs) {
      const toldAtMs = Date.now()
      const { allowed, retryAfterMs } = await limiter.consume(own)
      if (allowed) {
        await pause(Math.random() * 5)
        continue
      }
      denials++
      const backMs = Math.max(toldAtMs, limiter.nowMs()) + retryAfterMs
      while (Date.now() < backMs) await pause(backMs - Date.now())
      if (!(await limiter.consume(own)).allowed) broken++
    }
    return { denials, broken }
  },

  /** Many keys, of which those that are missing are loaded by one call. */
  async many({ from, count, loaderMs }) {
    const loaded = []
    let calls = 0
    const ids = Array.from({ length: count }, (_, index) => from + index)
    const begun = performance.now()
    const load = async (missing) => {
      calls++
      loaded.push(...missing)
      await pause(loaderMs)
      return missing.map((id) => id * 2)
    }
    const values = await cache.getOrSetMany(ids, load, { key: (id) => ['many', id] })
    const wrong = ids.filter((id) => values.get(id) !== id * 2).length
    return { loaded, calls, wrong, tookMs: performance.now() - begun }
  },
}

process.once('disconnect', () => process.exit())
await cache.get('connect')
process.send('ready')
process.on('message', (message) => {
  void tasks[task](message).then((result) => {
    if (result !== undefined) process.send(result)
  })
})
