/**
 * The public packages, and what they export. The keys of `exports` in a package.json say what can be imported; where
 * the files of an entry are, source and build, follows from its name.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/**
 * @typedef {object} Entry
 * @property {string} subpath The key in `exports`, as `./session`.
 * @property {string} source The source file, below the package's folder.
 * @property {string} file The name of the built file in `dist`, without its extension.
 *
 * @typedef {object} Package
 * @property {string} name
 * @property {string} folder
 * @property {{ exports: Record<string, unknown>; [key: string]: any }} manifest
 * @property {Entry[]} entries
 */

/**
 * The packages that are published.
 *
 * @returns {Package[]}
 */
export function publicPackages() {
  return workspacePackages().filter(({ manifest }) => manifest.private !== true)
}

/**
 * All packages of the workspace, the private one too.
 *
 * @returns {Package[]}
 */
export function workspacePackages() {
  return readdirSync(join(ROOT, 'packages')).map((name) => {
    const folder = join(ROOT, 'packages', name)
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const entries = Object.keys(manifest.exports)
      .filter((subpath) => subpath !== './package.json')
      .map((subpath) => ({ subpath, source: sourceOf(folder, subpath), file: fileOf(subpath) }))
    return { name: manifest.name, folder, manifest, entries }
  })
}

/**
 * The fields of a package.json that say where the entries are: `exports`, and for tools that do not read it `main`,
 * `types` and `typesVersions`.
 *
 * @param {Package} of
 */
export function entryFields({ entries }) {
  const others = entries.filter(({ subpath }) => subpath !== '.')
  const typesVersions = { '*': Object.fromEntries(others.map((entry) => [entry.subpath.slice(2), [typesOf(entry)]])) }
  return {
    main: './dist/cjs/index.js',
    types: './dist/types/index.d.ts',
    ...(others.length === 0 ? {} : { typesVersions }),
    exports: {
      ...Object.fromEntries(entries.map((entry) => [entry.subpath, conditionsOf(entry)])),
      './package.json': './package.json',
    },
  }
}

/** @param {Entry} entry */
function conditionsOf(entry) {
  return {
    import: { types: `./dist/${entry.file}.d.ts`, default: `./dist/${entry.file}.js` },
    // What Node and Bun take for `import` and `require` alike, so that a process has one copy:
    // docs/decisions/0023-commonjs-beside-esm.md.
    'module-sync': `./dist/${entry.file}.js`,
    bun: `./dist/${entry.file}.js`,
    require: { types: typesOf(entry), default: `./dist/cjs/${entry.file}.js` },
  }
}

/**
 * The declarations of an entry, as those of a CommonJS file.
 *
 * @param {Entry} entry
 */
function typesOf({ source }) {
  return `./dist/types/${source.replace(/^src\//, '').replace(/\.ts$/, '.d.ts')}`
}

/**
 * @param {string} folder
 * @param {string} subpath
 */
function sourceOf(folder, subpath) {
  const path = `src${subpath.slice(1)}`
  const source = [`${path}/index.ts`, `${path}.ts`].find((file) => existsSync(join(folder, file)))
  if (source === undefined) throw new Error(`${folder}: exports has '${subpath}', but there is no ${path}/index.ts`)
  return source
}

/** @param {string} subpath */
function fileOf(subpath) {
  return subpath === '.' ? 'index' : subpath.slice(2).replaceAll('/', '-')
}
