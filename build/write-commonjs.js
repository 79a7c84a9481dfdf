/**
 * Compiles the packages once more, to CommonJS, into `dist/cjs`: for jest and other tools that cannot load ESM. Node itself loads the ESM for `import` and for
 * `require`. docs/decisions/0023-commonjs-beside-esm.md says why. `tsc -b` has checked the types before.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PACKAGES = fileURLToPath(new URL('../packages', import.meta.url))
const TSC = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url))

for (const name of readdirSync(PACKAGES)) {
  const folder = join(PACKAGES, name)
  const config = join(folder, 'tsconfig.cjs.json')
  if (!existsSync(config) || isUpToDate(folder)) continue
  const { status, stdout } = spawnSync(process.execPath, [TSC, '-p', config], { encoding: 'utf8' })
  if (status !== 0) {
    process.stderr.write(stdout)
    process.exit(1)
  }
  const dist = join(folder, 'dist')
  // The declarations are the same: what they are of is told by the package.json beside them.
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (file.endsWith('.d.ts') && !file.startsWith('cjs') && !file.startsWith('cli'))
      copy(join(dist, file), join(dist, 'cjs', file))
  }
  writeFileSync(join(dist, 'cjs', 'package.json'), '{ "type": "commonjs" }\n')
  const packageFolder = join(dist, 'cjs', 'package-folder.js')
  if (existsSync(packageFolder)) {
    writeFileSync(
      packageFolder,
      `'use strict'\nexports.PACKAGE_FOLDER = require('node:path').join(__dirname, '../..')\n`,
    )
  }
  writeFileSync(stampOf(folder), versionOf(folder))
}

/**
 * @param {string} from
 * @param {string} to
 */
function copy(from, to) {
  mkdirSync(dirname(to), { recursive: true })
  // The map of a declaration is not copied.
  writeFileSync(to, readFileSync(from, 'utf8').replace(/\n\/\/# sourceMappingURL=.*$/, '\n'))
}

/** `tsc -b` writes this file when it has compiled something. @param {string} folder */
function versionOf(folder) {
  return readFileSync(join(folder, 'dist', '.tsbuildinfo'), 'utf8')
}

/** @param {string} folder */
function stampOf(folder) {
  return join(folder, 'dist', '.tsbuildinfo-cjs')
}

/** @param {string} folder */
function isUpToDate(folder) {
  return existsSync(stampOf(folder)) && readFileSync(stampOf(folder), 'utf8') === versionOf(folder)
}
