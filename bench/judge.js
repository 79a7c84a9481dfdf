// The goals that are timed, or take many processes: `npm run judge -- stampede near`, or all of them without a name.
// Each goal prints its figure; the command fails when one falls short.
import { readCommandLine } from './command-line.js'
import { goals } from './judge/goals.js'

const help = [
  'usage: npm run judge -- [goal…] [options]',
  '  --memcached           on the real memcached where a goal needs a server',
  '  --limits=<MiB,…>      memory: the limits of the servers; default 64',
  '  --limiters=<name,…>   limiter-memory: the kinds of limiters; default all',
]
for (const [name, goal] of Object.entries(goals)) help.push(`  ${name.padEnd(15)}${goal.description}`)
const { values, names } = readCommandLine(
  { memcached: { type: 'boolean' }, limits: { type: 'string' }, limiters: { type: 'string' } },
  { help: `${help.join('\n')}\n`, names: Object.keys(goals) },
)

let failed = 0
for (const name of names.length > 0 ? names : Object.keys(goals)) {
  const goal = goals[name]
  console.log(`${name}: ${goal.description}`)
  const { reached, figure } = await goal.run({ realMemcached: values.memcached === true, flags: values })
  console.log(`${name}: ${figure}: ${reached ? 'reached' : 'NOT REACHED'}`)
  if (!reached) failed++
}
process.exit(failed === 0 ? 0 : 1)
