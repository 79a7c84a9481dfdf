import { execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { readLine, readUntil } from 'memcache-ts-testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packPublicPackages, publicEntries, publicEntryFiles, publicPackages } from './public-packages.js'

const run = promisify(execFile)
const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url))
const consumer = fileURLToPath(new URL('./fixtures/consumer', import.meta.url))
const npmOptions = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']

/** Without the `MEMCACHE_SERVERS` of this machine. */
const QUIET = { PATH: process.env['PATH'] }

/** A built file, and all of its package that it loads, at once or later. */
function filesLoadedBy(file: string, files = new Set<string>()): Set<string> {
  if (files.has(file)) return files
  files.add(file)
  const loads = /\b(?:from|import|require)\s*\(?\s*["'`](\.[^"'`]+)["'`]/g
  for (const [, path] of readFileSync(file, 'utf8').matchAll(loads)) filesLoadedBy(join(dirname(file), path!), files)
  return files
}

/**
 * Tests the packed packages, installed outside of this workspace as in a foreign project. They are packed from `dist`,
 * which `npm test` builds first.
 */
describe('the packages as they are published', () => {
  let project: string

  beforeAll(async () => {
    project = await mkdtemp(join(tmpdir(), 'memcache-ts-consumer-'))
    const packed = await packPublicPackages(project)
    await cp(consumer, project, { recursive: true })
    await writeFile(join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
    // Express and the types are what such a project has anyway; everything else has to come with the packages.
    const others = [
      'express@5.3.0',
      '@types/express@5.0.6',
      '@types/express-session@1.19.0',
      'keyv@5.6.0',
      '@types/node@20.19.43',
      'prom-client@15.1.3',
      '@opentelemetry/api@1.9.0',
    ]
    await run('npm', ['install', ...npmOptions, ...packed.map(({ tarball }) => tarball), ...others], { cwd: project })
  })

  afterAll(async () => {
    await rm(project, { recursive: true, force: true })
  })

  it.each(publicPackages())('%s can be imported, and required from CommonJS', async (name) => {
    const imports = `console.log(Object.keys(await import('${name}')).length > 0)`
    const requires = `console.log(Object.keys(require('${name}')).length > 0)`
    for (const [type, script] of Object.entries({ module: imports, commonjs: requires })) {
      const { stdout } = await run(process.execPath, [`--input-type=${type}`, '--eval', script], { cwd: project })
      expect(stdout).toBe('true\n')
    }
  })

  it('are one instance in all ways to load them: every export of every entry is the same value', async () => {
    const entries = publicEntries()
    const script = `
      const entries = ${JSON.stringify(entries)}
      const differs = []
      for (const entry of entries) {
        const required = require(entry)
        const imported = await import(entry)
        const names = Object.keys(required).filter((name) => name !== '__esModule')
        if (names.length === 0) differs.push(entry)
        for (const name of names) if (required[name] !== imported[name]) differs.push(entry + ' ' + name)
        for (const name of Object.keys(imported)) if (!names.includes(name) && name !== 'default') differs.push(entry + ' ' + name)
      }
      console.log(JSON.stringify(differs))`
    await writeFile(join(project, 'both.cjs'), `(async () => {${script}})()`)
    const { stdout } = await run(process.execPath, [join(project, 'both.cjs')], { cwd: project })
    expect(JSON.parse(stdout)).toEqual([])
    expect(entries.length).toBeGreaterThan(10)
  })

  it('load neither the server nor the `fetch` of Node by the import of memcache-ts', async () => {
    const server = join(project, 'node_modules/memcache-ts-server')
    await rename(server, `${server}-away`)
    try {
      const script = `await import('memcache-ts'); console.log(JSON.stringify(process.moduleLoadList))`
      const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { cwd: project })
      const builtins = JSON.parse(stdout) as string[]
      expect(builtins).toContain('NativeModule net')
      expect(builtins.filter((name) => /undici|http2/.test(name))).toEqual([])
    } finally {
      await rename(`${server}-away`, server)
    }
  })

  it('run in a bundle of any format: no file that an entry loads reads its own path', async () => {
    const files = publicEntryFiles().flatMap((file) => Array.from(filesLoadedBy(file)))
    expect(files.length).toBeGreaterThan(20)
    const asking = files.filter((file) =>
      /\bimport\.meta\b|\b__(?:dirname|filename)\b/.test(readFileSync(file, 'utf8')),
    )
    expect(asking).toEqual([])
  })

  it.each([
    ['commonjs', 'bundler'],
    ['node16', 'node16'],
    ['nodenext', 'nodenext'],
    ['preserve', 'bundler'],
  ])('type-check in a CommonJS project with module %s', async (module, moduleResolution) => {
    const folder = join(project, `types-${module}`)
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'package.json'), '{ "type": "commonjs" }')
    const compilerOptions = {
      target: 'es2022',
      lib: ['es2023', 'esnext.disposable'],
      module,
      moduleResolution,
      types: ['node'],
      strict: true,
      noEmit: true,
      skipLibCheck: true,
    }
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
    await cp(join(project, 'service.ts'), join(folder, 'service.ts'))
    const { stdout } = await run(process.execPath, [tsc, '--project', folder], { cwd: folder }).catch(
      (error: { stdout: string }) => error,
    )
    expect(stdout).toBe('')
  })

  it.each(['use.mjs', 'use.cjs'])('%s uses each of them', async (file) => {
    const { stdout } = await run(process.execPath, [join(project, file)], { cwd: project, env: QUIET })
    expect(JSON.parse(stdout)).toEqual({
      client: 'v',
      kit: 'loaded',
      keyv: 1,
      express: 429,
      nest: 'loaded',
      protocol: 'city:42',
    })
  })

  it('type-check in a strict project that also checks the declarations', async () => {
    const { stdout } = await run(process.execPath, [tsc, '--project', project], { cwd: project }).catch(
      (error: { stdout: string }) => error,
    )
    expect(stdout).toBe('')
  })

  it('have declarations that older compilers read: no type of the memory of bytes, which came with TypeScript 5.7', async () => {
    for (const name of publicPackages()) {
      const types = join(project, 'node_modules', name, 'dist/types')
      const files = (await readdir(types, { recursive: true })).filter((file) => file.endsWith('.d.ts'))
      expect(files.length).toBeGreaterThan(0)
      const naming = files.filter((file) => /<ArrayBuffer(?:Like)?>/.test(readFileSync(join(types, file), 'utf8')))
      expect(naming).toEqual([])
    }
  })

  it('brings the page of the dashboard along', async () => {
    const script = `
      const { startDashboard } = await import('memcache-ts/dashboard')
      const { url, close } = await startDashboard({ servers: '127.0.0.1:1', port: 0 })
      console.log((await (await fetch(url)).text()).includes('<h1>memcached</h1>'))
      await close()`
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { cwd: project })
    expect(stdout).toBe('true\n')
  })

  it('npx memcache-ts-server starts a memcached that responds', async () => {
    const asRoot = process.getuid?.() === 0 ? ['-u', 'root'] : []
    const server = spawn('npx', ['--no-install', 'memcache-ts-server', '-p', '-1', ...asRoot], {
      cwd: project,
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true, // npx puts a shell between: the whole group is ended below
    })
    try {
      const line = await readLine(server)
      const port = Number(/:(\d+)$/.exec(line)?.[1])
      const socket = connect(port, '127.0.0.1')
      socket.write('version\r\n')
      const reply = await readUntil(socket, '\r\n')
      socket.destroy()
      expect(reply).toMatch(/^VERSION \d+\.\d+\.\d+\r\n$/)
    } finally {
      if (server.pid !== undefined) process.kill(-server.pid)
    }
  })
})
