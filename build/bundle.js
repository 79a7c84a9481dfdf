/**
 * Makes `dist`, which is published, of what `tsc -b` has compiled: a few files in place of hundreds, since a process
 * that imports hundreds of small files waits for them. docs/decisions/0023-commonjs-beside-esm.md says what is in
 * `dist`, and why.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { builtinModules, isBuiltin } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { rolldown } from 'rolldown'
import { esmExternalRequirePlugin } from 'rolldown/plugins'
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
  /^(lru-cache|structured-headers|commander|cli-table3|string-width|strip-ansi|ansi-regex|emoji-regex|is-fullwidth-code-point|@colors\/colors)(\/|$)/

/**
 * Whether a module is another package's, which the user installs.
 *
 * @param {string} id
 */
const isInstalled = (id) => /^[@\w]/.test(id) && !BUNDLED.test(id) && !id.startsWith('builtin:')

/** How code is made small: the names of functions and classes stay. */
const SMALL = { compress: { keepNames: { function: true, class: true } }, mangle: { keepNames: true } }

const FORMATS = {
  // Readable: this is what Node loads, and what a debugger shows. Only statements are shortened, by 7 %.
  esm: { dir: 'dist', minify: { compress: SMALL.compress, mangle: false, codegen: { removeWhitespace: false } } },
  // Small: jest and other tools that cannot load ESM take it.
  cjs: { dir: 'dist/cjs', minify: SMALL },
}

/**
 * Imports the modules of Node that bundled CommonJS packages require: otherwise the files that entries load would need
 * `import.meta` for a `require`, and a bundler that makes CommonJS of an application leaves nothing in its place.
 */
const requiresAsImports = esmExternalRequirePlugin({
  external: [...builtinModules, ...builtinModules.map((name) => `node:${name}`)],
  skipDuplicateCheck: true,
})

/** cli-table3 colours the borders of tables if this package is installed; it is not among the dependencies. */
const withoutColours = {
  name: 'without-colours',
  resolveId: (id) => (id === '@colors/colors/safe' ? '\0without-colours' : undefined),
  load: (id) => (id === '\0without-colours' ? 'export {}' : undefined),
}

/** The dashboard's page is in its module: an application that is bundled has no files of ours beside it. */
const pageInItsModule = {
  name: 'page-parts',
  load(id) {
    if (!id.endsWith('/dashboard/page-parts.js')) return undefined
    const parts = Object.fromEntries(
      pageFiles(join(dirname(id), '../..')).map((file) => [basename(file), partOf(file)]),
    )
    return `const PARTS = ${JSON.stringify(parts)}\nexport const readPagePart = (part) => PARTS[part]\n`
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
      external: format === 'esm' ? (id) => isInstalled(id) && !isBuiltin(id) : isInstalled,
      plugins: [pageInItsModule, ...(format === 'esm' ? [withoutColours, requiresAsImports] : [])],
      onLog(level, log) {
        throw new Error(`${name}: ${level}: ${log.message}`)
      },
    })
    const { output } = await build.write({
      dir: join(folder, dir),
      format,
      minify,
      comments: false,
      // Flat, so that the package's folder is one above the command line: package-folder.ts relies on it.
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
 * Makes the command line small: it is not debugged, and most of it is the libraries that it bundles.
 *
 * @param {string} file
 */
function makeSmall(file) {
  const { code, errors } = minifySync(file, readFileSync(file, 'utf8'), { module: true, ...SMALL })
  if (errors.length > 0) throw new Error(`${file}: ${errors[0].message}`)
  writeFileSync(file, code)
}

/**
 * The files of a package's page, if it has one.
 *
 * @param {string} folder @returns {string[]}
 */
function pageFiles(folder) {
  const page = join(folder, 'page')
  return existsSync(page) ? readdirSync(page).map((file) => join(page, file)) : []
}

/**
 * The text of a part of the page; the script is made small.
 *
 * @param {string} file
 */
function partOf(file) {
  const text = readFileSync(file, 'utf8')
  return file.endsWith('.js') ? minifySync(file, text, { module: true }).code : text
}

/**
 * A compiled file, and all of its package that it imports.
 *
 * @param {string} file @returns {Set<string>}
 */
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
 * Returns the version of the compiled files: `tsc -b` writes this file whenever it has compiled something.
 *
 * @param * {string} folder
 */
function versionOf(folder) {
  const read = (file) => readFileSync(join(folder, file), 'utf8')
  const page = pageFiles(folder).map((file) => readFileSync(file, 'utf8'))
  return `${BUILDER}\n${read('package.json')}\n${read('compiled/.tsbuildinfo')}\n${page.join('\n')}`
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
