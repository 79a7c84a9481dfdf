import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/**
 * Writes the declarations of a package, those that can be reached from its entries, into `dist/types`. They are those
 * of CommonJS files, which ESM and CommonJS may both import; for `import` there is one file an entry that re-exports
 * them. So a class is one type however it is imported.
 *
 * A framework that is ESM alone can be imported only by declarations of ESM files: a package that has one as its peer
 * gets a copy of each kind.
 *
 * @param {string} folder
 * @param {import('./packages.js').Entry[]} entries
 * @param {{ peerDependencies?: Record<string, string> }} manifest
 */
export function writeDeclarations(folder, entries, { peerDependencies = {} }) {
  const compiled = join(folder, 'compiled')
  const files = new Map()
  for (const { source } of entries) collect(join(compiled, declarationOf(source)), files)
  copy('dist/types', 'commonjs')
  const needsEsm = '@nestjs/common' in peerDependencies
  if (needsEsm) copy('dist/types/esm', 'module')
  for (const { source, file } of entries) {
    const target = `./types/${needsEsm ? 'esm/' : ''}${declarationOf(source).replace(/\.d\.ts$/, '.js')}`
    write(join(folder, 'dist', `${file}.d.ts`), `export * from '${target}'\n`)
  }

  /**
   * @param {string} to
   * @param {string} type
   */
  function copy(to, type) {
    for (const [file, text] of files) write(join(folder, to, relative(compiled, file)), text)
    write(join(folder, to, 'package.json'), `{ "type": "${type}" }\n`)
  }
}

/**
 * A file, and all that it imports of its package.
 *
 * @param {string} file
 * @param {Map<string, string>} files
 */
function collect(file, files) {
  if (files.has(file)) return
  const text = readFileSync(file, 'utf8')
  if (/^export default |as default\b/m.test(text)) throw new Error(`${file}: a default export is not re-exported`)
  files.set(file, withoutBufferTypes(text))
  for (const [, path] of text.matchAll(/(?:\bfrom |\bimport\(|\bimport )['"](\.[^'"]+)['"]/g))
    collect(join(dirname(file), path.replace(/\.[jt]s$/, '.d.ts')), files)
}

/**
 * Bytes of any memory: before TypeScript 5.7, `Buffer` and typed arrays have no type of their memory, and a declaration
 * that names it does not compile there.
 *
 * @param {string} text
 */
function withoutBufferTypes(text) {
  return text.replaceAll(/\b(Buffer|DataView|(?:Uint|Int|Float|BigInt|BigUint)\w*Array)<ArrayBuffer(?:Like)?>/g, '$1')
}

/** @param {string} source */
function declarationOf(source) {
  return source.replace(/^src\//, '').replace(/\.ts$/, '.d.ts')
}

/**
 * @param {string} path
 * @param {string} text
 */
function write(path, text) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
