import { measureCosts, ratiosOf } from '../express/cost.js'

export const description =
  'a read-only session costs at most 0.8 of connect-redis, a limited request 1.1 of express-rate-limit in memory'

export async function run() {
  const ratios = ratiosOf(await measureCosts())
  const goals = ratios.filter(({ most }) => most !== undefined)
  for (const { ours, peer, ratio } of ratios) console.log(`  ${ours} to ${peer}: ${ratio.toFixed(2)}`)
  return {
    reached: goals.every(({ ratio, most }) => ratio <= most),
    figure: goals.map(({ ours, ratio, most }) => `${ours} ${ratio.toFixed(2)} (at most ${most})`).join(', '),
  }
}
