// A long random run of two clients against servers that misbehave: `npm run soak`, or `npm run soak -- --help`.
// Every value carries its key and a number that was once written to it; the run fails when a value is another's or
// torn, an operation never settles, an error is nobody's, or the heap grows. `--seed` repeats what is asked, not what
// the network makes of it.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MemcachedClient, MemcacheError } from 'memcache-ts-client'
import { FaultProxy } from 'memcache-ts-testing'
import { readCommandLine, refuse } from '../command-line.js'
import { launch } from '../judge/launch.js'
import { startClusterEndpoint } from './cluster-endpoint.js'
import { randomFrom } from './random.js'

const HELP = `Runs random operations of two clients on the same keys, through proxies that misbehave, and checks every value.

  npm run soak -- [options]

  --operations <n>  how many operations; default 10000000
  --seed <n>        repeats what is asked; by default a random one, which is printed
  --memcached       against Debian's memcached instead of our server
  --protocol <name> meta, text or auto (default), which asks the server: under faults its connections speak either
  --help            prints this
`
const { values } = readCommandLine(
  {
    operations: { type: 'string' },
    seed: { type: 'string' },
    protocol: { type: 'string', default: 'auto' },
    memcached: { type: 'boolean', default: false },
  },
  { help: HELP },
)

const KEYS = 2000
const CALLERS = 200
const TEN_MILLION = 10_000_000
/** Some of the values are of more bytes, and are stored in chunks. */
const CHUNK_BYTES = 20_000
/** How often something goes wrong, in milliseconds. */
const TROUBLE_MS = 20
/**
 * An operation that has not settled after so many rounds of trouble hangs: 30 seconds, far beyond every timeout that is
 * given. Rounds are counted, since a process that gets no processor time makes none.
 */
const PATIENCE_ROUNDS = 1500
/** How much more the heap may hold at the end than after a tenth of the run. */
const MAX_GROWTH_BYTES = 16 * 1024 * 1024

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc')

const operations = Number(values.operations ?? TEN_MILLION)
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
const { protocol, memcached: realMemcached } = values
if (!(operations > 0)) refuse(`--operations must be a number greater than 0, got '${values.operations}'`, HELP)
if (!Number.isInteger(seed)) refuse(`--seed must be a whole number, got '${values.seed}'`, HELP)
if (!['meta', 'text', 'auto'].includes(protocol))
  refuse(`--protocol must be meta, text or auto, got '${protocol}'`, HELP)
const random = randomFrom(seed)

const outcomes = { hits: 0, misses: 0, writes: 0, timeouts: 0, aborts: 0, otherErrors: 0 }
const faults = {}
const lastWritten = new Uint32Array(KEYS)
let done = 0
let failure

process.on('unhandledRejection', (error) => fail(`an error that nobody could catch: ${error?.stack ?? error}`))
process.on('uncaughtException', (error) => {
  // It may be the error of this script: nothing continues after it.
  fail(`an error that nobody could catch: ${error.stack}`)
  console.log(failure)
  process.exit(1)
})

const servers = await Promise.all([0, 1].map(() => launch({ realMemcached, memoryLimitMb: 256 })))
const proxies = await Promise.all(servers.map(({ port }) => FaultProxy.start({ host: '127.0.0.1', port })))
const ports = proxies.map(({ address }) => address.split(':')[1])
const endpoint = await startClusterEndpoint(ports)
// The same keys by two clients, one of which has its servers from discovery.
const limits = { protocol, timeoutMs: 100, connectTimeoutMs: 200, chunkBytes: CHUNK_BYTES }
const clients = [
  new MemcachedClient({ ...limits, servers: proxies[0].address }),
  new MemcachedClient({ ...limits, servers: endpoint.address, discovery: true, discoveryIntervalMs: 100 }),
]
// Where those speak the classic protocol, a third one makes the leases.
if (protocol === 'text') clients.push(new MemcachedClient({ ...limits, protocol: 'meta', servers: proxies[0].address }))
const started = performance.now()
let baseline = 0

const underWay = new Set()
let rounds = 0
const trouble = setInterval(() => {
  rounds++
  for (const { since, reject } of underWay) if (rounds - since > PATIENCE_ROUNDS) reject(new Error('never settled'))
  makeTrouble()
}, TROUBLE_MS)
const progress = setInterval(report, 5000)
await runUntil(operations / 10)
baseline = heapBytes()
await runUntil(operations)
clearInterval(trouble)
clearInterval(progress)
report()
const growth = heapBytes() - baseline
if (growth > MAX_GROWTH_BYTES) fail(`the heap has grown by ${growth} bytes since a tenth of the run`)

for (const proxy of proxies) proxy.fault = { kind: 'none' }
await Promise.all(clients.map((client) => client.close()))
for (const proxy of proxies) {
  for (let turn = 0; proxy.openConnections > 0 && turn < 100; turn++)
    await new Promise((resolve) => setTimeout(resolve, 20))
  if (proxy.openConnections > 0) fail(`${proxy.openConnections} sockets are still open after close()`)
  await proxy[Symbol.asyncDispose]()
}
if (outcomes.hits === 0 || outcomes.timeouts + outcomes.otherErrors === 0)
  fail('nothing was hit, or nothing went wrong')
endpoint.stop()
for (const server of servers) server.stop()
console.log(
  failure ??
    `every value of ${outcomes.hits} hits was its key's own, and the heap grew by ${Math.round(growth / 1024)} KiB (--seed ${seed})`,
)
process.exit(failure === undefined ? 0 : 1)

async function runUntil(until) {
  await Promise.all(Array.from({ length: CALLERS }, () => call(until)))
}

function heapBytes() {
  for (let turn = 0; turn < 3; turn++) collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

async function call(until) {
  while (done < until && failure === undefined) {
    done++
    const entry = { since: rounds, reject: undefined }
    underWay.add(entry)
    try {
      await new Promise((resolve, reject) => {
        entry.reject = reject
        operate().then(resolve, reject)
      })
    } catch (error) {
      count(error)
      // While the server is away everything fails at once: the network has to have its turn.
      await new Promise((resolve) => setTimeout(resolve, 1))
    } finally {
      underWay.delete(entry)
    }
  }
}

function operate() {
  const index = random(KEYS)
  const key = keyOf(index)
  const client = clients[random(2)]
  const options = random(10) === 0 ? impatience() : undefined
  switch (random(18)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return write(client, index, options)
    case 4:
      return client
        .getMulti(
          Array.from({ length: 20 }, (_, step) => keyOf((index + step * 7) % KEYS)),
          options,
        )
        .then(checkAll)
    case 5:
      return client.gets(key, options).then((item) => check(index, item?.value))
    case 6:
      return random(2) === 0 ? client.delete(key, options) : client.delete(key, { noreply: true })
    case 7:
      // The classic protocol has no leases: others' are read by it all the same.
      return vivify(clients.length > 2 ? clients[2] : client, index, options)
    case 8:
      return client.gat(key, 60, options).then((value) => check(index, value))
    case 9:
      return client.touch(key, 60, options)
    case 10:
      return replace(client, index, options)
    case 11:
      // A list of letters that only grows, until it is begun again.
      return client[random(2) === 0 ? 'append' : 'prepend'](logOf(index), 'x', options).then((isJoined) =>
        isJoined || random(4) > 0 ? undefined : client.set(logOf(index), `${logOf(index)}|`, 60, options),
      )
    case 12:
      return client.get(logOf(index), options).then((value) => checkLog(index, value))
    case 13:
      // What is stored as an object is never joined to.
      return client.append(key, 'x', options).then(
        (isJoined) => isJoined && fail(`${key}: bytes were joined to an object`),
        (error) => {
          if (error.code !== 'ERR_MEMCACHE_OPTION') throw error
        },
      )
    default:
      return client.get(key, options).then((value) => check(index, value))
  }
}

/** Takes a lease that is never filled. */
async function vivify(client, index, options) {
  try {
    const item = await client.meta.get(keyOf(index), { ...options, vivifySeconds: 1 })
    check(index, item?.value)
  } catch (error) {
    if (error.code !== 'ERR_MEMCACHE_UNSUPPORTED') throw error
  }
}

/** A short timeout, or a signal that ends the wait. */
function impatience() {
  if (random(2) === 0) return { timeoutMs: 1 + random(30) }
  const controller = new AbortController()
  setTimeout(() => controller.abort(new Error('aborted')), random(20))
  return { signal: controller.signal }
}

function write(client, index, options) {
  outcomes.writes++
  return client.set(keyOf(index), valueFor(index), 60, random(20) === 0 ? { noreply: true } : options)
}

/** Writes in one of the ways that may be refused. */
async function replace(client, index, options) {
  const key = keyOf(index)
  const ways = [
    () => client.add(key, valueFor(index), 60, options),
    () => client.replace(key, valueFor(index), 60, options),
    async () => {
      const item = await client.gets(key, options)
      check(index, item?.value)
      if (item !== undefined) await client.cas(key, valueFor(index), item.casUnique, 60, options)
    },
    () => client.setMulti([[key, valueFor(index)]], 60, options),
  ]
  outcomes.writes++
  await ways[random(ways.length)]()
}

function valueFor(index) {
  const number = ++lastWritten[index]
  const filling = 'x'.repeat(random(50) === 0 ? random(200_000) : random(300))
  return { key: keyOf(index), number, filling, length: filling.length }
}

function check(index, value) {
  if (value === undefined) {
    outcomes.misses++
    return
  }
  outcomes.hits++
  const isOwn = value?.key === keyOf(index) && value.number >= 1 && value.number <= lastWritten[index]
  if (!isOwn || value.filling.length !== value.length) {
    fail(`${keyOf(index)} was answered ${JSON.stringify(value)?.slice(0, 200)}, written up to ${lastWritten[index]}`)
  }
}

function checkLog(index, value) {
  const own = `${logOf(index)}|`
  if (value === undefined || value.replace(/^x*/, '').replace(/x*$/, '') === own) return
  fail(`${logOf(index)} was answered ${JSON.stringify(value).slice(0, 200)}`)
}

function checkAll(hits) {
  for (const [key, value] of hits) check(Number(key.slice(2)), value)
}

function count(error) {
  if (error.message === 'aborted') outcomes.aborts++
  else if (error.code === 'ERR_MEMCACHE_TIMEOUT') outcomes.timeouts++
  else if (error instanceof MemcacheError) outcomes.otherErrors++
  else fail(`an operation ended with ${error.stack}`)
}

/**
 * Something goes wrong, for a while. Bytes that are lost or inserted within a value are left out: once in some million
 * responses the value has the right length and end all the same, which no client can notice. TCP does neither, and
 * packages/client/test/faults.test.ts has both.
 */
function makeTrouble() {
  const kinds = [
    { kind: 'none' },
    { kind: 'none' },
    { kind: 'none' },
    { kind: 'byteByByte' },
    { kind: 'silent' },
    { kind: 'cutAfter', bytes: random(20_000) },
    { kind: 'stallAfter', bytes: random(20_000) },
    { kind: 'wrongOpaque' },
    { kind: 'reset' },
    { kind: 'closeOnConnect' },
  ]
  for (const proxy of proxies) {
    // What a connection has lost must not be followed by what comes later.
    const hasLost = proxy.fault.kind === 'silent' || proxy.fault.kind === 'stallAfter'
    // Well most of the time, or nothing would ever be hit.
    proxy.fault = random(4) === 0 ? kinds[random(kinds.length)] : { kind: 'none' }
    faults[proxy.fault.kind] = (faults[proxy.fault.kind] ?? 0) + 1
    if (hasLost || random(20) === 0) proxy.cutAll()
  }
  // Servers come and go.
  if (random(25) === 0) endpoint.change(random(3) === 0 ? [ports[0]] : random(2) === 0 ? ports : ports.toReversed())
}

function keyOf(index) {
  return `k:${index}`
}

function logOf(index) {
  return `log:${index % 50}`
}

function report() {
  const seconds = (performance.now() - started) / 1000
  const { user, system } = process.cpuUsage()
  const counted = Object.entries({ ...outcomes, faults: Object.keys(faults).length })
  console.log(
    `${done} of ${operations} operations, ${seconds.toFixed(0)} s (${((user + system) / 1e6).toFixed(0)} s of processor time): ${counted.map(([name, value]) => `${value} ${name}`).join(', ')}`,
  )
}

function fail(reason) {
  failure ??= `FAILED: ${reason} (--seed ${seed})`
}
