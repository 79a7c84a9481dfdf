/**
 * Completes what `tsc` has written: the packages are compiled to CommonJS, which `require` and `import` share, so that a process has one state however
 * they are loaded. Each entry gets a door for `import`, which names its exports: `index.mjs` and `index.d.mts` beside `index.js`. docs/decisions/0023-one-implementation-for-import-and-require.md says why.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const PACKAGES = fileURLToPath(new URL('../packages', import.meta.url))
const require = createRequire(import.meta.url)
const GETTER =
  /^Object\.defineProperty\(exports, "(\w+)", \{ enumerable: true, get: function \(\) \{ return (\w+\.\w+); \} \}\);$/gm
const COMMONJS = '{ "type": "commonjs" }\n'

const folders = readdirSync(PACKAGES)
  .map((name) => join(PACKAGES, name))
  .filter((folder) => existsSync(join(folder, 'package.json')) && manifestOf(folder).private !== true)
// All of these first: the entry of one package requires the others.
for (const folder of folders) {
  write(join(folder, 'dist', 'package.json'), COMMONJS)
  for (const file of filesOf(join(folder, 'dist'))) write(file, bound(readFileSync(file, 'utf8')))
}
for (const folder of folders) {
  for (const entry of Object.values(manifestOf(folder).exports)) {
    if (typeof entry !== 'string') writeDoor(resolve(folder, entry.require.default))
  }
}

/** @param {string} folder a package's. */
function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}

/** @param {string} dist where a package's files are; those that are CommonJS. */
function filesOf(dist) {
  return readdirSync(dist, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.js'))
    .map((file) => join(dist, file))
}

/**
 * What a file hands on of others as values, where `tsc` writes getters. An object with many getters is a dictionary: each use of an import looked its
 * name up in there, which cost a `get` of the client 10 % and a `set` 20 %. No file imports the index that hands it on, so that all values are there.
 * @param {string} text a file in CommonJS.
 */
function bound(text) {
  return text.replaceAll(GETTER, 'exports.$1 = $2;')
}

/** @param {string} file an entry, in CommonJS. */
function writeDoor(file) {
  const names = Object.keys(require(file)).filter((name) => name !== '__esModule' && name !== 'default')
  const base = file.slice(0, -'.js'.length)
  const from = `./${base.slice(dirname(base).length + 1)}.js`
  const lines = names.toSorted().map((name) => `export const ${name} = entry.${name}`)
  write(`${base}.mjs`, `import entry from '${from}'\n${lines.join('\n')}\n`)
  write(`${base}.d.mts`, `export * from '${from}'\n`)
}

/** Leaves a file alone that is as it should be: `tsc -b` compares times. */
function write(file, text) {
  if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text)
}
