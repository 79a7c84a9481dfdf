/**
 * Runs the packages where others run them: `npm run matrix`, or `npm run matrix -- jest node` for the cells whose names
 * begin so. Each cell is a project of its own with the packed packages installed, which is type-checked or bundled and
 * run. Prints a line a cell; exits with 1 if one fails.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packPublicPackages } from '../public-packages.js'
import { bundlerCells } from './bundlers.js'
import { frameworkCells } from './frameworks.js'
import { freshProjectCells } from './fresh-projects.js'
import { grafanaCells } from './grafana.js'
import { packageManagerCells } from './package-managers.js'
import { runtimeCells } from './runtimes.js'
import { testRunnerCells } from './test-runners.js'
import { typeScriptCells } from './typescript.js'

const ALL = [
  ...runtimeCells,
  ...frameworkCells,
  ...typeScriptCells,
  ...testRunnerCells,
  ...bundlerCells,
  ...packageManagerCells,
  ...grafanaCells,
  ...freshProjectCells,
]

const wanted = process.argv.slice(2)
const isHelp = wanted.includes('--help') || wanted.includes('-h')
if (isHelp || wanted.some((name) => !ALL.some((cell) => cell.name.startsWith(name)))) {
  console.log('usage: npm run matrix -- [beginning of a name…]')
  for (const { name } of ALL) console.log(`  ${name}`)
  process.exit(isHelp ? 0 : 64)
}

const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-matrix-'))
let failed = 0
try {
  const packed = await packPublicPackages(folder)
  const cells = ALL.filter(({ name }) => wanted.length === 0 || wanted.some((beginning) => name.startsWith(beginning)))
  for (const { name, run } of cells) {
    const start = performance.now()
    const context = { folder, tarballs: packed.map(({ tarball }) => tarball) }
    const problem = await run(context).then(
      () => undefined,
      (error) => error,
    )
    if (problem !== undefined) failed++
    console.log(
      `${problem === undefined ? 'ok  ' : 'FAIL'} ${name}, ${Math.round((performance.now() - start) / 1000)} s`,
    )
    if (problem !== undefined) console.log(String(problem.message).replaceAll(/^/gm, '     '))
  }
  console.log(`${cells.length - failed} passed, ${failed} failed`)
} finally {
  rmSync(folder, { recursive: true })
}
process.exitCode = failed === 0 ? 0 : 1
