// One process of the benchmark: `worker.js <way> <address>`. Each message asks for a round; the answer is its
// microseconds a hit.
import { memcache } from 'memcache-ts'
import { WAYS } from './ways.js'

const HITS = 4000

const [, , way, address] = process.argv
const cache = memcache({ servers: address, logger: false, timeoutMs: 60_000 })
const load = () => {
  throw new Error('the key is stored')
}
const hit = () => cache.getOrSet('key', load, 3600)

await cache.set('key', { name: 'Oslo', people: 709_000 }, 3600)
const { read = hit, within = (call) => call() } = WAYS[way](cache, hit)
process.on('message', () => void within(measure).then((microseconds) => process.send(microseconds)))
process.once('disconnect', () => process.exit())
process.send('ready')

async function measure() {
  const before = process.cpuUsage()
  for (let index = 0; index < HITS; index++) await read()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / HITS
}
