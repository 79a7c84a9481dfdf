// A long random run of the client against a server that misbehaves: `npm run soak`, or `npm run soak -- --operations 50000`.
// Every value carries its key and a number that was once written to it; the run fails when a value is another's, an
// operation never settles, or an error is nobody's. `--seed` repeats what is asked, not what the network makes of it.
import { MemcachedClient, MemcacheError } from 'memcache-ts-client'
import { FaultProxy } from 'memcache-ts-testing'
import { launch } from '../judge/launch.js'
import { randomFrom } from './random.js'

const KEYS = 2000
const CALLERS = 200
const TEN_MILLION = 10_000_000
/** Far beyond every timeout that is given: who has not settled by then hangs. */
const PATIENCE_MS = 30_000

const operations = Number(valueOf('--operations') ?? TEN_MILLION)
const seed = Number(valueOf('--seed') ?? Math.floor(Math.random() * 2 ** 31))
const random = randomFrom(seed)

const outcomes = { hits: 0, misses: 0, writes: 0, timeouts: 0, aborts: 0, otherErrors: 0 }
const faults = {}
const lastWritten = new Uint32Array(KEYS)
let done = 0
let failure

process.on('unhandledRejection', (error) => fail(`an error that nobody could catch: ${error?.stack ?? error}`))
process.on('uncaughtException', (error) => fail(`an error that nobody could catch: ${error.stack}`))

const server = await launch({ realMemcached: process.argv.includes('--memcached'), memoryLimitMb: 256 })
const proxy = await FaultProxy.start({ host: '127.0.0.1', port: server.port })
const client = new MemcachedClient({ servers: proxy.address, timeoutMs: 100, connectTimeoutMs: 200 })
const started = performance.now()

const trouble = setInterval(makeTrouble, 20)
const progress = setInterval(report, 5000)
await Promise.all(Array.from({ length: CALLERS }, call))
clearInterval(trouble)
clearInterval(progress)
report()

proxy.fault = { kind: 'none' }
await client.close()
for (let turn = 0; proxy.openConnections > 0 && turn < 100; turn++)
  await new Promise((resolve) => setTimeout(resolve, 20))
if (proxy.openConnections > 0) fail(`${proxy.openConnections} sockets are still open after close()`)
if (outcomes.hits === 0 || outcomes.timeouts + outcomes.otherErrors === 0)
  fail('nothing was hit, or nothing went wrong')
await proxy[Symbol.asyncDispose]()
server.stop()
console.log(failure ?? `every value of ${outcomes.hits} hits was its key's own (--seed ${seed})`)
process.exit(failure === undefined ? 0 : 1)

async function call() {
  while (done < operations && failure === undefined) {
    done++
    let timer
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error('never settled')), PATIENCE_MS)
    })
    try {
      await Promise.race([operate(), late])
    } catch (error) {
      count(error)
      // While the server is away everything fails at once: the network has to have its turn.
      await new Promise((resolve) => setTimeout(resolve, 1))
    } finally {
      clearTimeout(timer)
    }
  }
}

function operate() {
  const index = random(KEYS)
  const options = random(10) === 0 ? impatience() : undefined
  switch (random(10)) {
    case 0:
    case 1:
    case 2:
      return write(index, options)
    case 3:
      return client
        .getMulti(
          Array.from({ length: 20 }, (_, step) => keyOf((index + step * 7) % KEYS)),
          options,
        )
        .then(checkAll)
    case 4:
      return client.gets(keyOf(index), options).then((item) => check(index, item?.value))
    case 5:
      return client.delete(keyOf(index), options)
    case 6:
      return client.meta.get(keyOf(index), { ...options, vivifySeconds: 1 }).then((item) => check(index, item?.value))
    default:
      return client.get(keyOf(index), options).then((value) => check(index, value))
  }
}

/** A short timeout, or a signal that ends the wait. */
function impatience() {
  if (random(2) === 0) return { timeoutMs: 1 + random(30) }
  const controller = new AbortController()
  setTimeout(() => controller.abort(new Error('aborted')), random(20))
  return { signal: controller.signal }
}

function write(index, options) {
  const number = ++lastWritten[index]
  const filling = 'x'.repeat(random(50) === 0 ? random(200_000) : random(300))
  outcomes.writes++
  return client.set(keyOf(index), { key: keyOf(index), number, filling, length: filling.length }, 60, options)
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

function checkAll(hits) {
  for (const [key, value] of hits) check(Number(key.slice(2)), value)
}

function count(error) {
  if (error.message === 'aborted') outcomes.aborts++
  else if (error.code === 'ERR_MEMCACHE_TIMEOUT') outcomes.timeouts++
  else if (error instanceof MemcacheError) outcomes.otherErrors++
  else fail(`an operation ended with ${error.stack}`)
}

/** Something goes wrong, for a while. */
function makeTrouble() {
  const kinds = [
    { kind: 'none' },
    { kind: 'none' },
    { kind: 'none' },
    { kind: 'byteByByte' },
    { kind: 'silent' },
    { kind: 'cutAfter', bytes: random(20_000) },
    { kind: 'stallAfter', bytes: random(20_000) },
    { kind: 'errorAfter', bytes: random(20_000) },
    { kind: 'wrongOpaque' },
    { kind: 'loseAnswers' },
    { kind: 'reset' },
    { kind: 'closeOnConnect' },
  ]
  // Well most of the time, or nothing would ever be hit.
  proxy.fault = random(4) === 0 ? kinds[random(kinds.length)] : { kind: 'none' }
  faults[proxy.fault.kind] = (faults[proxy.fault.kind] ?? 0) + 1
  if (random(20) === 0) proxy.cutAll()
}

function keyOf(index) {
  return `k:${index}`
}

function report() {
  const seconds = (performance.now() - started) / 1000
  const counted = Object.entries({ ...outcomes, faults: Object.keys(faults).length })
  console.log(
    `${done} of ${operations} operations, ${seconds.toFixed(0)} s: ${counted.map(([name, value]) => `${value} ${name}`).join(', ')}`,
  )
}

function fail(reason) {
  failure ??= `FAILED: ${reason} (--seed ${seed})`
}

function valueOf(flag) {
  const index = process.argv.indexOf(flag)
  return index === -1 ? undefined : process.argv[index + 1]
}
