// Figures beside those of peers: `npm run bench -- server`, or all of them without a name. Nothing fails here: goals
// are in `npm run judge`. `--save` writes them to bench/results.
import * as cache from './cache/compare.js'
import * as client from './client/speed.js'
import * as express from './express/cost.js'
import * as install from './install/compare.js'
import * as nest from './nest/overhead.js'
import * as server from './server/pauses.js'
import * as telemetry from './telemetry/cost.js'

const benches = { cache, client, express, install, nest, server, telemetry }
const names = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
const unknown = names.filter((name) => !Object.hasOwn(benches, name))

if (process.argv.includes('--help') || unknown.length > 0) {
  if (unknown.length > 0) console.error(`there is no bench ${unknown.join(', ')}`)
  console.log('usage: npm run bench -- [name…] [--save]')
  for (const [name, bench] of Object.entries(benches)) console.log(`  ${name.padEnd(10)}${bench.description}`)
  process.exit(unknown.length > 0 ? 64 : 0)
}
for (const name of names.length > 0 ? names : Object.keys(benches)) {
  console.log(`${name}: ${benches[name].description}`)
  await benches[name].run({ save: process.argv.includes('--save') })
}
