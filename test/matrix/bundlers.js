import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execute, expectOk, folderIn, PEERS, program, projectWith, write } from './project.js'

const TOOLS = [
  'esbuild@0',
  'webpack@5',
  'webpack-cli@6',
  'rollup@4',
  '@rollup/plugin-node-resolve@16',
  '@rollup/plugin-commonjs@28',
  '@rollup/plugin-json@6',
  '@rollup/plugin-terser@0',
]

/** How each bundler makes an ES module, or CommonJS, of `entry`. */
const CONFIGS = {
  async esbuild(project, folder, { entry, format }) {
    // Express needs CommonJS's require.
    const banner = `--banner:js=import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`
    const args = [entry, '--bundle', '--minify', '--keep-names', '--platform=node']
    // CommonJS is what it makes without further options.
    const own = format === 'cjs' ? ['--outfile=out/bundle.cjs'] : ['--format=esm', banner, '--outfile=out/bundle.mjs']
    await execute(join(project, 'node_modules/.bin/esbuild'), [...args, ...own], folder)
  },
  async webpack(project, folder, { entry, format }) {
    const output =
      format === 'cjs'
        ? `filename: 'bundle.cjs', chunkFilename: '[id].cjs'`
        : `filename: 'bundle.mjs', module: true, chunkFormat: 'module'`
    write(folder, {
      'webpack.config.cjs': `
        module.exports = {
          mode: 'production', target: 'node20', entry: './${entry}', experiments: { outputModule: ${format === 'es'} },
          output: { path: require('node:path').join(__dirname, 'out'), ${output} },
        }`,
    })
    await execute(join(project, 'node_modules/.bin/webpack'), ['--config', 'webpack.config.cjs'], folder)
  },
  async rollup(project, folder, { entry, format }) {
    const extension = format === 'cjs' ? 'cjs' : 'mjs'
    write(folder, {
      'rollup.config.mjs': `
        import commonjs from '@rollup/plugin-commonjs'
        import json from '@rollup/plugin-json'
        import { nodeResolve } from '@rollup/plugin-node-resolve'
        import terser from '@rollup/plugin-terser'
        export default {
          input: '${entry}',
          output: { dir: 'out', entryFileNames: 'bundle.${extension}', chunkFileNames: '[name].${extension}', format: '${format}' },
          plugins: [nodeResolve({ preferBuiltins: true, exportConditions: ['node'] }), commonjs(), json(), terser()],
        }`,
    })
    await execute(join(project, 'node_modules/.bin/rollup'), ['--config', 'rollup.config.mjs'], folder)
  },
}

/** Programs that are bundled and minified, and run without installed packages. @type {import('./project.js').Cell[]} */
export const bundlerCells = Object.entries(CONFIGS).flatMap(([name, bundle]) =>
  Object.entries({ es: 'mjs', cjs: 'cjs' }).map(([format, extension]) => ({
    name: `${name} to ${format === 'cjs' ? 'CommonJS' : 'an ES module'}`,
    async run(context) {
      const project = await projectWith(context, [...PEERS, ...TOOLS], { name: 'bundlers' })
      const folder = folderIn(project, `bundled-${name}-${format}`)
      const everything = readFileSync(program('everything.mjs', folder), 'utf8')
      write(folder, { 'in-function.mjs': inFunction(everything) })
      await bundle(project, folder, { entry: format === 'cjs' ? 'in-function.mjs' : 'everything.mjs', format })
      const alone = join(context.folder, `alone-${name}-${format}`)
      cpSync(join(folder, 'out'), alone, { recursive: true })
      await expectOk(process.execPath, [join(alone, `bundle.${extension}`)], alone)
    },
  })),
)

/**
 * A program without top-level `await`, which CommonJS does not have.
 *
 * @param {string} text
 */
function inFunction(text) {
  const lines = text.split('\n')
  const isImport = (line) => line.startsWith('import ')
  const rest = lines.filter((line) => !isImport(line))
  return [...lines.filter(isImport), 'async function main() {', ...rest, '}', 'void main()', ''].join('\n')
}
