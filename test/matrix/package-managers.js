import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execute, firstBlock, npmInstall, nameOfTarball, write } from './project.js'

/** The READMEs whose first program is compiled and run, and the packages that they say to install. */
const READMES = [
  'README.md',
  ...['kit', 'client', 'server', 'express', 'fastify'].map((name) => `packages/${name}/README.md`),
]
const RUNTIME = ['express@5', 'fastify@5']
const TYPES = ['typescript@5.9', '@types/node@22', '@types/express@5', '@types/express-session@1']

const compilerOptions = { module: 'nodenext', target: 'es2022', strict: true, outDir: 'dist', types: ['node'] }

/**
 * Package managers besides npm: the packages are installed with no more than the READMEs tell, so that a dependency
 * that is only found because npm puts all packages into one folder is missing.
 *
 * @type {import('./project.js').Cell[]}
 */
export const packageManagerCells = [
  {
    name: 'pnpm 10',
    async run(context) {
      const home = await tool(context, 'pnpm@10')
      const pnpm = [join(home, 'node_modules/pnpm/bin/pnpm.cjs')]
      const project = readmeProject(context, 'pnpm', ({ packages }) => ({ pnpm: { overrides: packages } }))
      const store = join(context.folder, 'pnpm-store')
      await execute(process.execPath, [...pnpm, 'install', '--store-dir', store, '--no-frozen-lockfile'], project)
      await execute(process.execPath, [...pnpm, 'exec', 'tsc'], project)
      await runReadmes(project, (file) => execute(process.execPath, [file], project))
    },
  },
  {
    name: "yarn 4 with Plug'n'Play",
    async run(context) {
      const home = await tool(context, '@yarnpkg/cli-dist@4')
      const yarn = [join(home, 'node_modules/@yarnpkg/cli-dist/bin/yarn.js')]
      const project = readmeProject(context, 'yarn', ({ packages }) => ({ resolutions: packages }))
      const settings = ['nodeLinker: pnp', 'enableGlobalCache: false', 'enableTelemetry: false', 'enableScripts: false']
      write(project, { 'yarn.lock': '', '.yarnrc.yml': `${settings.join('\n')}\n` })
      const registry = (await execute('npm', ['config', 'get', 'registry'], project)).trim()
      const env = { YARN_NPM_REGISTRY_SERVER: registry, YARN_ENABLE_IMMUTABLE_INSTALLS: 'false' }
      await execute(process.execPath, [...yarn, 'install'], project, env)
      await execute(process.execPath, [...yarn, 'tsc'], project, env)
      await runReadmes(project, (file) => execute(process.execPath, [...yarn, 'node', file], project, env))
    },
  },
]

/** A project with the first program of each README. */
function readmeProject({ folder, tarballs }, name, settings) {
  const project = join(folder, name)
  const packages = Object.fromEntries(tarballs.map((tarball) => [nameOfTarball(tarball), `file:${tarball}`]))
  const others = Object.fromEntries([...RUNTIME, ...TYPES].map((spec) => splitSpec(spec)))
  const manifest = { name: 'shop', private: true, type: 'module', dependencies: { ...packages, ...others } }
  // Nest has cells of its own.
  delete manifest.dependencies['memcache-ts-nestjs']
  write(project, { 'package.json': JSON.stringify({ ...manifest, ...settings({ packages }) }) })
  write(project, { 'tsconfig.json': JSON.stringify({ compilerOptions, include: ['src'] }) })
  for (const [index, readme] of READMES.entries()) write(project, { [`src/block-${index}.ts`]: firstBlock(readme) })
  return project
}

function splitSpec(spec) {
  const at = spec.lastIndexOf('@')
  return [spec.slice(0, at), spec.slice(at + 1)]
}

async function runReadmes(project, run) {
  for (const [index, readme] of READMES.entries()) {
    const expected = [...readFileSync(join(project, `src/block-${index}.ts`), 'utf8').matchAll(/\/\/ => (.*)$/gm)]
    const stdout = await run(`dist/block-${index}.js`)
    const printed = stdout.split('\n').filter((line) => line !== '' && !line.startsWith('memcache-ts: '))
    if (printed.join('\n') !== expected.map(([, line]) => line).join('\n')) throw new Error(`${readme}: ${stdout}`)
  }
}

async function tool({ folder }, spec) {
  const home = join(folder, splitSpec(spec)[0].replaceAll('/', '-'))
  write(home, { 'package.json': '{ "private": true }' })
  await npmInstall(home, [spec])
  return home
}
