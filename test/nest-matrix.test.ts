import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packPublicPackages } from './public-packages.js'

const run = promisify(execFile)
const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url))
const fixture = fileURLToPath(new URL('./fixtures/nest-app', import.meta.url))
const npmOptions = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']

/** The dependencies of an application other than our packages, by the major version of Nest. */
const DEPENDENCIES = {
  11: {
    '@nestjs/common': '11.2.10',
    '@nestjs/core': '11.2.10',
    '@nestjs/platform-express': '11.2.10',
    '@nestjs/platform-fastify': '11.2.8',
    '@nestjs/terminus': '11.1.1',
    '@nestjs/testing': '11.2.6',
  },
  12: {
    '@nestjs/common': '12.5.1',
    '@nestjs/core': '12.5.1',
    '@nestjs/platform-express': '12.5.1',
    '@nestjs/platform-fastify': '12.5.0',
    '@nestjs/terminus': '12.1.0',
    '@nestjs/testing': '12.1.1',
    '@swc/core': '1.16.22',
  },
} as const
const OF_BOTH = {
  'class-transformer': '0.5.1',
  'reflect-metadata': '0.2.2',
  rxjs: '7.8.2',
  '@types/node': '20.19.43',
}

interface Answer {
  status: number
  body: { load: number }
}

const ok = { status: 200, type: 'application/json', policy: '"default";q=100;w=60' }
const limited = { ...ok, policy: '"default";q=100;w=60, "CitiesController.find";q=3;w=60' }
const city = { id: 1, load: expect.any(Number) }

const CALLED_APART =
  '2 classes named Rows have @RateLimit without a name: they are counted apart, as Rows(v1) and Rows(v2). Write @RateLimit({ name }) to choose the names, or to count them together'

/** The expected results of the scenarios. */
const SCENARIOS = {
  events: [3, '[1]', '[1]'],
  around: ['[10]', '[10]', 'value', 'complete', 'end', 'complete', 'end'],
  serialized: [
    { status: 200, text: '{"id":1}' },
    { status: 200, text: '{"id":1}' },
  ],
  tenants: ['a 1', 'b 1', 'a 1'],
  traced: [1, 1],
  factory: [1, true],
  provided: [
    ...[1, 2, 3].map(() => ['1 1', '1 1', null, '1 2']),
    ...[1, 2].map(() => expect.stringMatching(/^Provided\.change evicts nothing.*there are several objects/)),
  ],
  copied: [expect.stringMatching(/^Foreign caches and evicts nothing.*'foreign'.*another copy of memcache-ts-nestjs/)],
  warmed: [expect.stringMatching(/^1 [12]$/), expect.stringMatching(/^2 [12]$/), 2],
  sameName: expect.stringMatching(
    /^class Rows \(.*\) and class Rows \(.*\) both store their values under the name 'Rows'/,
  ),
  limits: [200, 429, 200, CALLED_APART],
  missing:
    "Traces.find needs a cache, and there is none: write imports: [MemcacheModule.forRoot()] in the application's root module",
  bare: expect.stringMatching(
    /MemcacheModule is imported (as it is|without a cache|without forRoot): write .*MemcacheModule\.forRoot\(\)/,
  ),
  tested: [1, true],
  layers: [...[1, 2].map(() => '["guard a 1","pipe 1 1","interceptor a 1"]'), 'late a 1', 'late a 1', null, 'late a 2'],
  ended: [null, 'string'],
  versions: ['one', 'more 2', 'more 3', 'more 2', 'one'],
  faults: ['200 1', '200 1', '200 2', '200 3', '200 4'],
}

const NOBODY = { servers: { '127.0.0.1:1': 'down' }, message: expect.any(String) }

/** The responses of the application; they differ only in that terminus 11 has no state between up and down. */
const answersIn = (major: string): object => ({
  cached: [
    { ...limited, body: city },
    { ...limited, body: city },
  ],
  changed: [
    { ...ok, body: {} },
    { ...limited, body: city },
  ],
  denied: { ...limited, status: 429, type: 'application/problem+json', body: expect.objectContaining({ status: 429 }) },
  response: [
    { ...ok, cache: 'fwd=uri-miss', body: { name: 'city 2', shown: 1 } },
    // Within the same millisecond, it counts as shared.
    { ...ok, cache: expect.stringMatching(/^(hit|fwd=uri-miss)$/), body: { name: 'city 2', shown: 1 } },
  ],
  health: { status: 200, type: 'application/json', policy: null, body: expect.objectContaining({ status: 'ok' }) },
  scenarios: SCENARIOS,
  away: { ...NOBODY, ...(major === '11' ? { status: 'up', degraded: true } : { status: 'degraded' }) },
})

/** An application of someone else: the packed packages and a Nest, far from this workspace, in both module systems. */
async function install(project: string, tarballs: readonly string[], dependencies: object): Promise<void> {
  const manifest = { name: 'consumer', private: true, dependencies: { ...dependencies, ...OF_BOTH } }
  await writeFile(join(project, 'package.json'), JSON.stringify(manifest))
  await run('npm', ['install', ...npmOptions, ...tarballs], { cwd: project })
  // A second installation of the adapter, as by two versions of it.
  const adapter = join('node_modules', 'memcache-ts-nestjs')
  await cp(join(project, adapter), join(project, 'copy', adapter), { recursive: true })
  for (const type of ['module', 'commonjs']) {
    await cp(fixture, join(project, type), { recursive: true })
    await writeFile(join(project, type, 'package.json'), JSON.stringify({ type }))
  }
}

async function answersOf(file: string, platform: string): Promise<unknown> {
  const { stdout } = await run(process.execPath, [file, platform])
  const answers = JSON.parse(stdout) as Record<'cached' | 'changed', readonly [Answer, Answer]>
  const loads = [...answers.cached, answers.changed[1]].map(({ body }) => body.load)
  expect(loads).toEqual([1, 1, 2])
  return answers
}

describe('the packed packages', () => {
  let root: string
  const projectOf = (major: string): string => join(root, major)

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'memcache-ts-nest-'))
    const packed = await packPublicPackages(root)
    const tarballs = packed.filter(({ name }) => name !== 'memcache-ts-express').map(({ tarball }) => tarball)
    await Promise.all(
      Object.entries(DEPENDENCIES).map(async ([major, dependencies]) => {
        await cp(fixture, projectOf(major), { recursive: true })
        await install(projectOf(major), tarballs, dependencies)
      }),
    )
  })

  afterAll(async () => {
    await rm(root, { recursive: true, force: true })
  })

  describe.each([
    ['11', 'ESM', 'module'],
    ['11', 'CommonJS', 'commonjs'],
    ['12', 'ESM', 'module'],
    ['12', 'CommonJS', 'commonjs'],
  ])('in a Nest %s application that is %s', (major, _, type) => {
    beforeAll(async () => {
      const project = join(projectOf(major), type)
      const { stdout } = await run(process.execPath, [tsc, '--project', project]).catch(
        (error: { stdout: string }) => error,
      )
      expect(stdout).toBe('')
    })

    it.each(['express', 'fastify'])('answer on %s', async (platform) => {
      expect(await answersOf(join(projectOf(major), type, 'dist', 'main.js'), platform)).toEqual(answersIn(major))
    })
  })

  it.each(['module', 'commonjs'])('answer in a Nest application that SWC compiled to %s', async (type) => {
    const project = projectOf('12')
    await run(process.execPath, [join(project, 'swc.cjs'), join(project, type), type])
    expect(await answersOf(join(project, type, 'swc', 'main.js'), 'express')).toEqual(answersIn('12'))
  })
})
