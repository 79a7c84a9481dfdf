// Holds our server against what memcached was recorded to answer, and Debian's memcached beside it:
// `npm run conformance` writes docs/conformance.md, with `-- --check` it compares it instead.
import { readFileSync, writeFileSync } from 'node:fs'
import { readCommandLine } from '../bench/command-line.js'
import { launchMemcached, launchServer } from 'memcache-ts-testing'
import { KNOWN_DIFFERENCES } from './known-differences.js'
import { replay } from './replay.js'
import { report } from './report.js'
import { readRecordings } from './transcripts.js'

const DOCUMENT = new URL('../docs/conformance.md', import.meta.url)
const HELP = `usage: npm run conformance -- [--check]

  --check  compares with docs/conformance.md in place of writing it
`
const { check } = readCommandLine({ check: { type: 'boolean', default: false } }, { help: HELP }).values

const recorded = readRecordings('1.6.45')
const older = readRecordings('1.6.18')
const ourServer = await launchServer()
const realServer = await launchMemcached().catch((error) => {
  console.error(`conformance needs Debian's memcached (apt-get install memcached): ${error.message}`)
  process.exit(1)
})
const [ours, debian] = await Promise.all([replay(ourServer.port, recorded), replay(realServer.port, older)])
await Promise.all([ourServer.kill(), realServer.kill()])

const problems = []
for (const [index, { sent, received }] of recorded.entries()) {
  if (!ours[index].same && KNOWN_DIFFERENCES[sent.join(' || ')] === undefined) {
    problems.push(
      `> ${sent.join(' || ')}\n  recorded ${received.join(' || ')}\n  ours     ${ours[index].answers.join(' || ')}`,
    )
  }
  if (!debian[index].same) {
    problems.push(
      `> ${sent.join(' || ')}\n  recorded from 1.6.18 ${older[index].received.join(' || ')}\n  Debian's here        ${debian[index].answers.join(' || ')}`,
    )
  }
}
for (const problem of problems) console.error(problem)

const text = report({ recorded, older, ours, debian, known: KNOWN_DIFFERENCES })
if (!check) writeFileSync(DOCUMENT, text)
else if (text !== readFileSync(DOCUMENT, 'utf8'))
  problems.push('docs/conformance.md is not what `npm run conformance` writes')

const same = ours.filter((result) => result.same).length
console.log(`conformance: ${same} of ${recorded.length} exchanges are answered as memcached 1.6.45 answers them`)
if (problems.length > 0) console.error(`${problems.length} problems; the last: ${problems.at(-1)?.split('\n')[0]}`)
process.exit(problems.length === 0 ? 0 : 1)
