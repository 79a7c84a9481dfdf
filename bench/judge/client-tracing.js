import { tracingChannel } from 'node:diagnostics_channel'
import { MemcachedClient } from 'memcache-ts-client'
import { launch } from './launch.js'

export const description = 'asking whether anybody listens to the client is at most 2 % of what a get costs'

const MAX_SHARE = 0.02
const ROUNDS = 7
const GETS = 200_000
const CHECKS = 20_000_000

/**
 * The check by itself, against the processor time of a pipelined get that has it: the difference of two clients, with
 * and without, is smaller than the noise of these machines.
 */
export async function run({ realMemcached }) {
  const server = await launch({ realMemcached })
  const client = new MemcachedClient({ servers: server.address, timeoutMs: 5000 })
  const channel = tracingChannel('memcache-ts-client:operation')
  await client.set('key', 'v'.repeat(100))
  const shares = []
  for (let round = 0; round < ROUNDS; round++) {
    const get = await microsecondsAGet(client)
    const check = microsecondsACheck(channel)
    shares.push(check / get)
    console.log(`  round ${round + 1}: a get ${get.toFixed(2)} µs, the check ${(check * 1000).toFixed(1)} ns`)
  }
  await client.close()
  server.stop()
  const share = shares.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)]
  return {
    reached: share <= MAX_SHARE,
    figure: `${(share * 100).toFixed(2)} % of a get (at most ${MAX_SHARE * 100} %)`,
  }
}

async function microsecondsAGet(client) {
  const before = process.cpuUsage()
  let left = GETS
  const caller = async () => {
    while (left-- > 0) await client.get('key')
  }
  await Promise.all(Array.from({ length: 100 }, caller))
  const { user, system } = process.cpuUsage(before)
  return (user + system) / GETS
}

function microsecondsACheck(channel) {
  let listened = 0
  const before = process.cpuUsage()
  for (let turn = 0; turn < CHECKS; turn++) if (channel.hasSubscribers) listened++
  const { user, system } = process.cpuUsage(before)
  return (user + system) / CHECKS + listened
}
