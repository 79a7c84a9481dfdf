import { MemcachedClient, MemcacheError } from 'memcache-ts-client'
import { FaultProxy } from 'memcache-ts-testing'
import { launch } from './launch.js'

export const description =
  'every operation of the client settles within its timeout of 250 ms + 50 ms, whatever the server does'

const TIMEOUT_MS = 250
const MARGIN_MS = 50
/** Operations under each fault, each of another kind than the one before. */
const OPERATIONS = 600
const AT_ONCE = 20

const FAULTS = [
  { kind: 'byteByByte' },
  { kind: 'silent' },
  { kind: 'cutAfter', bytes: 150 },
  { kind: 'stallAfter', bytes: 150 },
  { kind: 'errorAfter', bytes: 150 },
  { kind: 'wrongOpaque' },
  { kind: 'loseResponses' },
  { kind: 'reset' },
  { kind: 'closeOnConnect' },
  { kind: 'respond', bytes: 'SERVER_ERROR out of memory\r\n' },
  { kind: 'respond', bytes: 'HELLO WORLD\r\n' },
]

export async function run({ realMemcached }) {
  const server = await launch({ realMemcached })
  const failures = []
  const note = (error) => failures.push(`an error that nobody could catch: ${error}`)
  process.on('unhandledRejection', note)
  process.on('uncaughtException', note)
  let longest = 0
  try {
    for (const fault of FAULTS) {
      const { slowest, leaked } = await suffer(fault, server, failures)
      longest = Math.max(longest, slowest)
      const name = fault.kind === 'respond' ? `answer ${JSON.stringify(fault.bytes)}` : fault.kind
      console.log(`  ${name}: ${OPERATIONS} operations, the slowest settled in ${slowest.toFixed(0)} ms`)
      if (leaked > 0) failures.push(`${leaked} sockets were left open after ${name}`)
    }
  } finally {
    process.off('unhandledRejection', note)
    process.off('uncaughtException', note)
    server.stop()
  }
  for (const failure of failures) console.log(`  ${failure}`)
  return {
    reached: failures.length === 0 && longest <= TIMEOUT_MS + MARGIN_MS,
    figure: `${FAULTS.length * OPERATIONS} operations, the slowest in ${longest.toFixed(0)} ms (at most ${TIMEOUT_MS + MARGIN_MS})`,
  }
}

/** All operations under one fault: half of them on connections that were open before it began. */
async function suffer(fault, server, failures) {
  const proxy = await FaultProxy.start({ host: '127.0.0.1', port: server.port })
  let slowest = 0
  for (let done = 0; done < OPERATIONS; done += AT_ONCE) {
    proxy.fault = { kind: 'none' }
    const client = new MemcachedClient({ servers: proxy.address, timeoutMs: TIMEOUT_MS })
    if ((done / AT_ONCE) % 2 === 0) await client.set('k0', 'v'.repeat(500))
    proxy.fault = fault
    await Promise.all(
      Array.from({ length: AT_ONCE }, async (_, index) => {
        const started = performance.now()
        await ask(client, index).catch((error) => {
          if (!(error instanceof MemcacheError)) failures.push(String(error))
        })
        slowest = Math.max(slowest, performance.now() - started)
      }),
    )
    await client.close()
  }
  for (let turn = 0; proxy.openConnections > 0 && turn < 50; turn++)
    await new Promise((resolve) => setTimeout(resolve, 10))
  const leaked = proxy.openConnections
  await proxy[Symbol.asyncDispose]()
  return { slowest, leaked }
}

function ask(client, index) {
  const key = `k${index}`
  switch (index % 7) {
    case 0:
      return client.get(key)
    case 1:
      return client.set(key, 'v'.repeat(300), 60)
    case 2:
      return client.getMulti(['k0', key, 'none'])
    case 3:
      return client.gets(key)
    case 4:
      return client.incr('counter', 1, { initial: 0 })
    case 5:
      return client.meta.get(key, { vivifySeconds: 5 })
    default:
      return client.delete(key)
  }
}
