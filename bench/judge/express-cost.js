import { measureCosts, MAX_READ_MICROSECONDS, ratiosOf, readCostOf } from '../express/cost.js'

export const description =
  'a request that reads a session costs at most 0.8 of connect-redis, and 35 µs more than Express alone; a request that writes one at most 1.0 of connect-redis; a limited request at most 0.9 of express-rate-limit in memory'

export async function run() {
  const costs = await measureCosts()
  const ratios = ratiosOf(costs)
  const goals = ratios.filter(({ most }) => most !== undefined)
  for (const { ours, peer, ratio } of ratios) console.log(`  ${ours} to ${peer}: ${ratio.toFixed(2)}`)
  const read = readCostOf(costs)
  const figures = goals.map(({ ours, ratio, most }) => `${ours} ${ratio.toFixed(2)} (at most ${most})`)
  return {
    reached: goals.every(({ ratio, most }) => ratio <= most) && read <= MAX_READ_MICROSECONDS,
    figure: `${figures.join(', ')}, a read ${read.toFixed(0)} µs more than Express alone (at most ${MAX_READ_MICROSECONDS})`,
  }
}
