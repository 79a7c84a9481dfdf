import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execute, folderIn, npmInstall, PEERS, projectWith, write } from './project.js'

const SERVICE = fileURLToPath(new URL('../fixtures/consumer/service.ts', import.meta.url))

/** `node` is how TypeScript 5 resolves for `commonjs` by default. */
const MODULES = [
  { module: 'commonjs', moduleResolution: 'node', until: 5 },
  { module: 'commonjs', moduleResolution: 'bundler', from: 6 },
  { module: 'node16', moduleResolution: 'node16' },
  { module: 'node18', moduleResolution: 'nodenext', from: 5.8 },
  { module: 'nodenext', moduleResolution: 'nodenext' },
  { module: 'preserve', moduleResolution: 'bundler' },
  { module: 'esnext', moduleResolution: 'bundler' },
]

/**
 * Both kinds of decorators work: in a CommonJS package the legacy ones are taken, in an ESM package those of the
 * standard.
 */
const DECORATORS = { commonjs: { experimentalDecorators: true, emitDecoratorMetadata: true }, module: {} }

/** @type {import('./project.js').Cell[]} */
export const typeScriptCells = ['5.4', '5.6', '5.8', '5.9', '6.0', '7.0'].map((version) => ({
  name: `typescript ${version}`,
  async run(context) {
    const project = await projectWith(context, PEERS)
    const home = join(context.folder, `typescript-${version}`)
    write(home, { 'package.json': '{ "private": true }' })
    await npmInstall(home, [`typescript@~${version}.0`])
    const compiler = join(home, 'node_modules/typescript/bin/tsc')
    for (const { until = 99, from = 0, ...options } of MODULES) {
      if (Math.floor(Number(version)) > until || Number(version) < from) continue
      for (const type of ['commonjs', 'module']) {
        if (type === 'module' && options.module === 'commonjs') continue
        const folder = folderIn(project, `types-${version}-${options.module}-${type}`)
        const compilerOptions = {
          ...options,
          ...DECORATORS[type],
          target: 'es2022',
          lib: ['es2022', 'esnext.disposable', 'dom'],
          types: ['node'],
          strict: true,
          esModuleInterop: true,
          skipLibCheck: true,
          noEmit: true,
        }
        write(folder, {
          'package.json': JSON.stringify({ type }),
          'tsconfig.json': JSON.stringify({ compilerOptions, files: ['service.ts'] }),
        })
        cpSync(SERVICE, join(folder, 'service.ts'))
        await execute(process.execPath, [compiler, '--project', folder], folder).catch((error) => {
          throw new Error(`module ${options.module} in a ${type} package: ${error.message}`)
        })
      }
    }
  },
}))
