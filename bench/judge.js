// The goals that are timed, or take many processes: `npm run judge -- stampede near`, or all of them without a name.
// Each goal prints its figure; the command fails when one falls short.
import { goals } from './judge/goals.js'

const names = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
const flags = process.argv.slice(2).filter((argument) => argument.startsWith('--'))
const unknown = names.filter((name) => !Object.hasOwn(goals, name))

if (flags.includes('--help') || unknown.length > 0) {
  if (unknown.length > 0) console.error(`there is no goal ${unknown.join(', ')}`)
  console.log('usage: npm run judge -- [goal…] [--memcached: on the real memcached where a goal needs a server]')
  for (const [name, goal] of Object.entries(goals)) console.log(`  ${name.padEnd(15)}${goal.description}`)
  process.exit(unknown.length > 0 ? 64 : 0)
}

let failed = 0
for (const name of names.length > 0 ? names : Object.keys(goals)) {
  const goal = goals[name]
  console.log(`${name}: ${goal.description}`)
  const { reached, figure } = await goal.run({ realMemcached: flags.includes('--memcached'), flags })
  console.log(`${name}: ${figure}: ${reached ? 'reached' : 'NOT REACHED'}`)
  if (!reached) failed++
}
process.exit(failed === 0 ? 0 : 1)
