import { measureClients, tableOf } from '../client/speed.js'

export const description =
  'the client against the best of memjs, memcached, memcache-client and memcache, on the real memcached'

const MAX_CPU_MICROSECONDS = 2

export async function run() {
  const summaries = await measureClients()
  console.log(tableOf(summaries))
  const short = summaries.filter(({ ratio, goal }) => ratio < goal)
  // Pipelined, on small values: where the client's own work is what is measured.
  const cpu = summaries.find(({ workload }) => workload === 'get, 50 in flight').cpu
  const figures = summaries.map(({ workload, ratio, goal }) => `${workload} ${ratio.toFixed(2)} (at least ${goal})`)
  return {
    reached: short.length === 0 && cpu <= MAX_CPU_MICROSECONDS,
    figure: `${figures.join(', ')}; ${cpu.toFixed(1)} µs of processor a get (at most ${MAX_CPU_MICROSECONDS})`,
  }
}
