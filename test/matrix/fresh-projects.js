import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { execute, firstBlock, npmInstall, ROOT, write } from './project.js'

/**
 * Projects as they are made by others' tools, into which our lines are pasted.
 *
 * @type {import('./project.js').Cell[]}
 */
export const freshProjectCells = [
  ...[11, 12].map((major) => ({
    name: `nest new ${major}`,
    async run({ folder, tarballs }) {
      const name = `nest-new-${major}`
      await execute('npx', ['--yes', `@nestjs/cli@${major}`, 'new', name, '-p', 'npm', '--skip-git'], folder)
      const project = join(folder, name)
      await npmInstall(project, tarballs)
      // As in the README: a method is cached, and the module is imported. The generated tests stay, but for an `await`.
      const edit = (file, ...changes) => {
        let text = readFileSync(join(project, file), 'utf8')
        for (const [from, to] of changes) {
          if (!text.includes(from)) throw new Error(`${file} has no ${from}`)
          text = text.replace(from, to)
        }
        write(project, { [file]: text })
      }
      const js = major === 12 ? '.js' : ''
      edit(
        'src/app.service.ts',
        ['import { Injectable', `import { Cached } from 'memcache-ts-nestjs';\nimport { Injectable`],
        ['getHello(): string', '@Cached(60)\n  async getHello(): Promise<string>'],
      )
      edit('src/app.controller.ts', ['getHello(): string', 'getHello(): Promise<string>'])
      edit(
        'src/app.module.ts',
        ['import { Module', `import { MemcacheModule } from 'memcache-ts-nestjs';\nimport { Module`],
        ['imports: []', 'imports: [MemcacheModule.forRoot()]'],
      )
      edit(
        'src/app.controller.spec.ts',
        [`it('should return "Hello World!"', () => {`, `it('should return "Hello World!"', async () => {`],
        ['expect(appController', 'expect(await appController'],
      )
      await execute('npm', ['run', 'build'], project)
      await execute('npm', ['test'], project)
      await execute('npm', ['run', 'test:e2e'], project)
      // Then whole programs in place of its main file: ours to copy, and the README's first block.
      for (const program of [
        readFileSync(join(ROOT, `examples/starts/nest-${major}.ts`), 'utf8'),
        firstBlock('packages/nestjs/README.md'),
      ]) {
        write(project, { 'src/main.ts': program })
        await execute('npm', ['run', 'build'], project)
        await prints(project, [`dist/main${js === '' ? '' : '.js'}`], /^http:|"load":1/)
      }
    },
  })),
  {
    name: 'express with typescript, commonjs',
    async run({ folder, tarballs }) {
      const project = join(folder, 'express-commonjs')
      write(project, { 'package.json': '{ "name": "shop", "private": true }' })
      const types = ['@types/node@22', '@types/express@5', '@types/express-session@1']
      await npmInstall(project, [...tarballs, 'express@5', 'typescript@5.9', ...types])
      const compilerOptions = {
        module: 'commonjs',
        target: 'es2022',
        strict: true,
        esModuleInterop: true,
        skipLibCheck: true,
        outDir: 'dist',
      }
      const readmes = ['README.md', 'kit', 'client', 'server', 'express'].map((name) =>
        name === 'README.md' ? name : `packages/${name}/README.md`,
      )
      for (const [index, readme] of readmes.entries()) write(project, { [`src/block-${index}.ts`]: firstBlock(readme) })
      write(project, { 'tsconfig.json': JSON.stringify({ compilerOptions, include: ['src'] }) })
      await execute('npx', ['--no-install', 'tsc'], project)
      for (const [index, readme] of readmes.entries()) {
        const expected = [...firstBlock(readme).matchAll(/\/\/ => (.*)$/gm)].map(([, line]) => line)
        const stdout = await execute(process.execPath, [`dist/block-${index}.js`], project)
        const printed = stdout.split('\n').filter((line) => line !== '' && !line.startsWith('memcache-ts: '))
        if (printed.join('\n') !== expected.join('\n')) throw new Error(`${readme}: ${stdout}`)
      }
    },
  },
]

/**
 * Starts a program, and ends it once it has printed a line of a form.
 *
 * @param {string} cwd
 * @param {string[]} args
 * @param {RegExp} expected
 */
async function prints(cwd, args, expected) {
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, args, {
    cwd,
    env: { PATH, HOME, PORT: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines = []
  const timer = setTimeout(() => child.kill(), 60_000)
  try {
    for await (const line of createInterface(child.stdout)) {
      lines.push(line)
      if (expected.test(line)) return
    }
    const [errors] = child.stderr.readableLength > 0 ? [child.stderr.read()] : ['']
    throw new Error(`${args.join(' ')} printed no ${expected}: ${lines.join('\n')}${errors}`)
  } finally {
    clearTimeout(timer)
    if (child.exitCode === null) child.kill()
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
  }
}
