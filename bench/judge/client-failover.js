import { once } from 'node:events'
import { MemcachedClient } from 'memcache-ts-client'
import { launch } from './launch.js'

export const description =
  'of two servers one hangs: one timeout, then at most 1 ms an operation at the median, and it is back within 2 s'

const TIMEOUT_MS = 250
const MARGIN_MS = 50
const OPERATIONS = 2000
const MAX_AFTER_MS = 1
const MAX_BACK_MS = 2000
const ROUNDS = 5

export async function run({ realMemcached }) {
  const servers = [await launch({ realMemcached }), await launch({ realMemcached })]
  const client = new MemcachedClient({ servers: servers.map(({ address }) => address), timeoutMs: TIMEOUT_MS })
  const keys = Array.from({ length: 100 }, (_, index) => `key:${index}`)
  const [noticed, after, back] = [[], [], []]
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(keys.map((key) => client.set(key, key)))
      const ejected = once(client, 'eject')
      process.kill(servers[1].pid, 'SIGSTOP')
      noticed.push(await timed(() => Promise.allSettled(keys.map((key) => client.get(key)))))
      await ejected
      const times = []
      for (let done = 0; done < OPERATIONS; done++) times.push(await timed(() => client.get(keys[done % keys.length])))
      after.push(median(times))
      const rejoined = once(client, 'rejoin')
      process.kill(servers[1].pid, 'SIGCONT')
      back.push(await timed(() => rejoined))
      const figures = [noticed, after, back].map((list) => list.at(-1).toFixed(2))
      console.log(
        `  round ${round + 1}: noticed in ${figures[0]} ms, then ${figures[1]} ms an operation, back in ${figures[2]} ms`,
      )
    }
  } finally {
    await client.close()
    for (const server of servers) server.stop()
  }
  const worst = { noticed: Math.max(...noticed), after: median(after), back: Math.max(...back) }
  return {
    reached: worst.noticed <= TIMEOUT_MS + MARGIN_MS && worst.after <= MAX_AFTER_MS && worst.back <= MAX_BACK_MS,
    figure: `noticed in ${worst.noticed.toFixed(0)} ms (at most ${TIMEOUT_MS + MARGIN_MS}), then ${worst.after.toFixed(2)} ms an operation (at most ${MAX_AFTER_MS}), back in ${worst.back.toFixed(0)} ms (at most ${MAX_BACK_MS})`,
  }
}

async function timed(task) {
  const start = performance.now()
  await task()
  return performance.now() - start
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]
}
