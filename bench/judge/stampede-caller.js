// One process of the stampede: for each key that it is sent, all its calls at once.
import { memcache } from 'memcache-ts'

const [address, calls, loaderMs] = process.argv.slice(2)
// Thousands of calls that start in one tick keep two cores busy for longer than a request may wait in an application.
const cache = memcache({ servers: address, logger: false, timeoutMs: 2000 })
await cache.get('connect')
process.send('ready')

process.on('message', (key) => void stampede(key))

async function stampede(key) {
  let loads = 0
  const load = async () => {
    loads++
    await new Promise((resolve) => setTimeout(resolve, Number(loaderMs)))
    return { key, by: process.pid }
  }
  const values = await Promise.all(Array.from({ length: Number(calls) }, () => cache.getOrSet(key, load, 60)))
  process.send({ loads, wrong: values.filter((value) => value.key !== key || value.by !== values[0].by).length })
}
