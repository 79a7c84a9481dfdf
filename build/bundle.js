/**
 * Makes `dist`, which is published, of what `tsc -b` has compiled: a few files in place of hundreds, since a process
 * that imports hundreds of small files waits for them. docs/decisions/0023-commonjs-beside-esm.md says what is in
 * `dist`, and why.
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { rolldown } from 'rolldown'
import { minifySync } from 'rolldown/utils'
import { bundledLicences } from './bundled-licences.js'
import { writeDeclarations } from './declarations.js'
import { entryFields, publicPackages } from './packages.js'

/** The command lines: not exported, and started by the files in `bin`. */
const COMMAND_LINES = { 'memcache-ts': 'cli/main.js', 'memcache-ts-server': 'cli.js' }

/**
 * Dependencies of which a package uses a small part: that part is bundled, and they are not installed. lru-cache alone
 * is larger than all packages of ours.
 */
const BUNDLED =
  /^(lru-cache|structured-headers|commander|cli-table3|string-width|strip-ansi|ansi-regex|emoji-regex|is-fullwidth-code-point)(\/|$)/

/** How code is made small: the names of functions and classes stay. */
const SMALL = { compress: { keepNames: { function: true, class: true } }, mangle: { keepNames: true } }

const FORMATS = {
  // Readable: this is what Node loads, and what a debugger shows.
  esm: { dir: 'dist', minify: { compress: false, mangle: false, codegen: { removeWhitespace: false } } },
  // Small: jest and other tools that cannot load ESM take it.
  cjs: { dir: 'dist/cjs', minify: SMALL },
}

/** CommonJS has no `import.meta`, and is one folder deeper. */
const packageFolderOfCommonJs = {
  name: 'package-folder',
  load(id) {
    if (!id.endsWith('/package-folder.js')) return undefined
    return `import { join } from 'node:path'\nexport const PACKAGE_FOLDER = join(__dirname, '../..')\n`
  },
}

const BUILDER = versionOfBuilder()
for (const each of publicPackages()) {
  checkEntryFields(each)
  if (!isUpToDate(each.folder)) await bundle(each)
}

/** @param {import('./packages.js').Package} of */
async function bundle({ name, folder, manifest, entries }) {
  rmSync(join(folder, 'dist'), { recursive: true, force: true })
  const input = Object.fromEntries(entries.map(({ file, source }) => [file, compiledOf(folder, source)]))
  const shared = importedBy(input.index)
  const commandLine = COMMAND_LINES[name]
  const modules = new Set()
  for (const [format, { dir, minify }] of Object.entries(FORMATS)) {
    if (commandLine !== undefined && format === 'esm') input.cli = join(folder, 'compiled', commandLine)
    else delete input.cli
    const build = await rolldown({
      input,
      platform: 'node',
      external: (id) => !id.startsWith('.') && !id.startsWith('/') && !BUNDLED.test(id),
      plugins: format === 'cjs' ? [packageFolderOfCommonJs] : [],
      onLog(level, log) {
        throw new Error(`${name}: ${level}: ${log.message}`)
      },
    })
    const { output } = await build.write({
      dir: join(folder, dir),
      format,
      minify,
      comments: false,
      // Flat, so that the package's folder is one above every file: package-folder.ts relies on it.
      entryFileNames: '[name].js',
      chunkFileNames: '[name].js',
      keepNames: true,
      esModule: true,
      exports: 'named',
      externalLiveBindings: false,
      generatedCode: { symbols: false },
      // jest can `require`, and has no `import()`.
      dynamicImportInCjs: false,
      // One file for what the main entry loads: each further file is one more to find, open and read at the start.
      codeSplitting: entries.length === 1 ? undefined : { groups: [{ name: 'shared', test: (id) => shared.has(id) }] },
    })
    await build.close()
    if (input.cli !== undefined) makeSmall(join(folder, dir, 'cli.js'))
    for (const file of output) for (const module of file.moduleIds ?? []) modules.add(module)
  }
  writeFileSync(join(folder, 'dist/cjs/package.json'), '{ "type": "commonjs" }\n')
  writeDeclarations(folder, entries, manifest)
  const licences = bundledLicences([...modules])
  if (licences !== '') writeFileSync(join(folder, 'dist/LICENSES.md'), licences)
  writeFileSync(stampOf(folder), versionOf(folder))
}

/**
 * Makes the command line small: nobody debugs it, and most of it is the libraries that it bundles.
 *
 * @param {string} file
 */
function makeSmall(file) {
  const { code, errors } = minifySync(file, readFileSync(file, 'utf8'), { module: true, ...SMALL })
  if (errors.length > 0) throw new Error(`${file}: ${errors[0].message}`)
  writeFileSync(file, code)
}

/** A compiled file, and all of its package that it imports. @param {string} file @returns {Set<string>} */
function importedBy(file, files = new Set()) {
  if (files.has(file)) return files
  files.add(file)
  for (const [, path] of readFileSync(file, 'utf8').matchAll(/\bfrom ['"](\.[^'"]+)['"]/g))
    importedBy(join(dirname(file), path), files)
  return files
}

/**
 * @param {string} folder
 * @param {string} source
 */
function compiledOf(folder, source) {
  return join(folder, source.replace(/^src\//, 'compiled/').replace(/\.ts$/, '.js'))
}

/** @param {import('./packages.js').Package} of */
function checkEntryFields(of) {
  for (const [field, expected] of Object.entries(entryFields(of))) {
    if (JSON.stringify(of.manifest[field]) === JSON.stringify(expected)) continue
    const path = relative(process.cwd(), join(of.folder, 'package.json'))
    throw new Error(`${path}: "${field}" does not name the files that are built; npm run entries writes it`)
  }
}

/** How this build bundles, as a hash. */
function versionOfBuilder() {
  const hash = createHash('sha256')
  for (const file of ['bundle.js', 'bundled-licences.js', 'declarations.js', 'packages.js'])
    hash.update(readFileSync(new URL(file, import.meta.url)))
  return hash.digest('hex')
}

/**
 * Returns the version of the compiled files: `tsc -b` writes this file whenever it has compiled something. @param
 * {string} folder
 */
function versionOf(folder) {
  const read = (file) => readFileSync(join(folder, file), 'utf8')
  return `${BUILDER}\n${read('package.json')}\n${read('compiled/.tsbuildinfo')}`
}

/** @param {string} folder */
function stampOf(folder) {
  return join(folder, 'compiled/.bundled')
}

/** @param {string} folder */
function isUpToDate(folder) {
  return (
    existsSync(join(folder, 'dist/types')) &&
    existsSync(stampOf(folder)) &&
    readFileSync(stampOf(folder), 'utf8') === versionOf(folder)
  )
}
