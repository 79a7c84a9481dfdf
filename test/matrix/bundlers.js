import { cpSync } from 'node:fs'
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

const CONFIGS = {
  async esbuild(project, folder) {
    // Express asks for CommonJS's require.
    const banner = `--banner:js=import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`
    const args = [
      'everything.mjs',
      '--bundle',
      '--minify',
      '--keep-names',
      '--platform=node',
      '--format=esm',
      banner,
      '--outfile=out/bundle.mjs',
    ]
    await execute(join(project, 'node_modules/.bin/esbuild'), args, folder)
  },
  async webpack(project, folder) {
    write(folder, {
      'webpack.config.cjs': `
        module.exports = {
          mode: 'production', target: 'node20', entry: './everything.mjs', experiments: { outputModule: true },
          output: { path: require('node:path').join(__dirname, 'out'), filename: 'bundle.mjs', module: true, chunkFormat: 'module' },
        }`,
    })
    await execute(join(project, 'node_modules/.bin/webpack'), ['--config', 'webpack.config.cjs'], folder)
  },
  async rollup(project, folder) {
    write(folder, {
      'rollup.config.mjs': `
        import commonjs from '@rollup/plugin-commonjs'
        import json from '@rollup/plugin-json'
        import { nodeResolve } from '@rollup/plugin-node-resolve'
        import terser from '@rollup/plugin-terser'
        export default {
          input: 'everything.mjs', output: { dir: 'out', entryFileNames: 'bundle.mjs', format: 'es' },
          plugins: [nodeResolve({ preferBuiltins: true, exportConditions: ['node'] }), commonjs(), json(), terser()],
        }`,
    })
    await execute(join(project, 'node_modules/.bin/rollup'), ['--config', 'rollup.config.mjs'], folder)
  },
}

/** Programs that are bundled and minified, and run without installed packages. @type {import('./project.js').Cell[]} */
export const bundlerCells = Object.entries(CONFIGS).map(([name, bundle]) => ({
  name,
  async run(context) {
    const project = await projectWith(context, [...PEERS, ...TOOLS], { name: 'bundlers' })
    const folder = folderIn(project, `bundled-${name}`)
    program('everything.mjs', folder)
    await bundle(project, folder)
    const alone = join(context.folder, `alone-${name}`)
    cpSync(join(folder, 'out'), alone, { recursive: true })
    await expectOk(process.execPath, [join(alone, 'bundle.mjs')], alone)
  },
}))
