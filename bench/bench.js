// Figures beside those of peers: `npm run bench -- server`, or all of them without a name. Nothing fails here: goals
// are in `npm run judge`. `--save` writes them to bench/results.
import * as cache from './cache/compare.js'
import * as client from './client/speed.js'
import * as express from './express/cost.js'
import * as install from './install/compare.js'
import * as nest from './nest/overhead.js'
import * as server from './server/pauses.js'
import * as telemetry from './telemetry/cost.js'
import { readCommandLine } from './command-line.js'

const benches = { cache, client, express, install, nest, server, telemetry }
const help = ['usage: npm run bench -- [name…] [--save]']
for (const [name, bench] of Object.entries(benches)) help.push(`  ${name.padEnd(10)}${bench.description}`)
const { values, names } = readCommandLine(
  { save: { type: 'boolean' } },
  { help: `${help.join('\n')}\n`, names: Object.keys(benches) },
)
for (const name of names.length > 0 ? names : Object.keys(benches)) {
  console.log(`${name}: ${benches[name].description}`)
  await benches[name].run({ save: values.save === true })
}
