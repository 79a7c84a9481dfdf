import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { memcache } from 'memcache-ts'
import { MemcachedClient } from 'memcache-ts-client'
import type { MemcachedClientOptions } from 'memcache-ts-client'
import { describeWithCommand, launchServer } from 'memcache-ts-testing'
import type { LaunchedServer } from 'memcache-ts-testing'
import memjs from 'memjs'
import { afterAll, describe, expect, it } from 'vitest'

/** Debian's own, regardless of the path. */
const PYTHON = '/usr/bin/python3'
const PHP = '/usr/bin/php'
const RUBY = '/usr/bin/ruby'
const GO = '/usr/bin/go'
/** Debian's packages of Go sources, without modules, and without a C compiler. */
const GO_ENVIRONMENT = { CGO_ENABLED: '0', GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOFLAGS: '-p=1' }

const USER = 'ann@realm'
const PASSWORD = 'pass:word ☂'
const TEXT = 'Zürich ☂'

const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-clients-'))
afterAll(() => rmSync(folder, { recursive: true }))
const passwords = join(folder, 'passwords')
writeFileSync(passwords, `${USER}:${PASSWORD}\n`)

const run = promisify(execFile)
const program = (name: string): string => fileURLToPath(new URL(`fixtures/other-clients/${name}`, import.meta.url))

/** Our server's command line: without authentication, or with SASL. */
function launch(withAuth: boolean): Promise<LaunchedServer> {
  if (!withAuth) return launchServer()
  return launchServer({ args: ['-S'], env: { MEMCACHED_SASL_PWDB: passwords }, speaksText: false })
}

function ours(server: LaunchedServer, withAuth: boolean, options: MemcachedClientOptions = {}): MemcachedClient {
  const login = withAuth ? { username: USER, password: PASSWORD } : {}
  return new MemcachedClient({ servers: server.address, timeoutMs: 10_000, ...login, ...options })
}

/** Runs another client's program beside ours: each reads what the other one has written. */
async function exchange(
  command: readonly [file: string, script: string],
  values: 'pylibmc' | 'php-memcached' | 'dalli',
  withAuth: boolean,
): Promise<void> {
  await using server = await launch(withAuth)
  await using client = ours(server, withAuth, { values })
  await client.set('ours', TEXT)
  await client.set('ours-number', -42)
  const [file, script] = command
  const login = withAuth ? [USER, PASSWORD] : []
  const { stdout } = await run(file, [program(script), String(server.port), ...login])
  // Dalli logs to standard output too.
  expect(JSON.parse(stdout.trim().split('\n').at(-1)!)).toEqual([TEXT, -42])
  expect(await client.get('theirs')).toBe(TEXT)
  expect(await client.get('theirs-number')).toBe(-42)
}

describe.each([
  ['without credentials', false],
  ['with SASL', true],
])('our server and clients of the binary protocol, %s', (_, withAuth) => {
  it('memjs', async () => {
    await using server = await launch(withAuth)
    await using client = ours(server, withAuth, { values: 'memjs' })
    const theirs = memjs.Client.create(server.address, withAuth ? { username: USER, password: PASSWORD } : {})
    await client.set('ours', TEXT)
    expect((await theirs.get('ours')).value?.toString()).toBe(TEXT)
    expect((await theirs.get('missing')).value).toBeNull()
    await theirs.set('theirs', TEXT, { expires: 60 })
    expect(await client.get('theirs')).toEqual(Buffer.from(TEXT))
    expect(await theirs.add('theirs', 'x', {})).toBe(false)
    expect(await theirs.replace('none', 'x', {})).toBe(false)
    expect(await theirs.increment('n', 1, { initial: 41 })).toMatchObject({ value: 41 })
    expect(await theirs.increment('n', 1, {})).toMatchObject({ value: 42 })
    expect(await theirs.append('theirs', '!')).toBe(true)
    expect(await theirs.delete('theirs')).toBe(true)
    theirs.close()
  })

  describeWithCommand(
    { command: [PYTHON, '-c', 'import pylibmc'], debianPackage: 'python3-pylibmc' },
    'pylibmc',
    () => {
      it('works, and reads ours', () => exchange([PYTHON, 'pylibmc-binary.py'], 'pylibmc', withAuth))
    },
  )

  describeWithCommand(
    { command: [PHP, '-r', 'exit(extension_loaded("memcached") ? 0 : 1);'], debianPackage: 'php-memcached' },
    'php-memcached',
    () => {
      it('works, and reads ours', () => exchange([PHP, 'php-memcached.php'], 'php-memcached', withAuth))
    },
  )

  describeWithCommand({ command: [RUBY, '-e', 'require "dalli"'], debianPackage: 'ruby-dalli' }, 'Dalli', () => {
    it('works, and reads ours', () => exchange([RUBY, 'dalli.rb'], 'dalli', withAuth))
  })
})

describe('credentials that are wrong', () => {
  it('are refused to memjs and ours, and nothing is stored', async () => {
    await using server = await launch(true)
    const theirs = memjs.Client.create(server.address, { username: USER, password: 'wrong', retries: 0 })
    await expect(theirs.set('a', 'x', {})).rejects.toThrow()
    theirs.close()
    await using wrong = new MemcachedClient({
      servers: server.address,
      username: USER,
      password: 'wrong',
      timeoutMs: 20_000,
    })
    await expect(wrong.set('a', 'x')).rejects.toThrow()
    await using right = ours(server, true)
    expect(await right.get('a')).toBeUndefined()
  })
})

describe('programs of pymemcache and gomemcache on our server, and our client', () => {
  /** Writes a program with the server's port, and returns its path. */
  function programFor(name: string, server: LaunchedServer): string {
    const path = join(folder, name)
    writeFileSync(path, readFileSync(program(name), 'utf8').replaceAll('11211', String(server.port)))
    return path
  }

  describeWithCommand(
    { command: [PYTHON, '-c', 'import pymemcache'], debianPackage: 'python3-pymemcache' },
    'Python',
    () => {
      it('reads our values, and our client reads its values', async () => {
        await using server = await launch(false)
        await using client = ours(server, false)
        await client.set('session:ours', { user: 1 })
        await client.set('user:1', TEXT)
        await client.set('user:3', [1, null, TEXT])
        const { stdout } = await run(PYTHON, [programFor('pymemcache-basics.py', server)], {
          env: { ...process.env, PYTHONUTF8: '1' },
        })
        expect(stdout.trim().split('\n')).toEqual([
          "b'world'",
          "{'key1': b'value1', 'key2': b'value2'}",
          "{'user': 1}",
          `{'user:1': '${TEXT}', 'user:3': [1, None, '${TEXT}']}`,
          '101',
        ])
        expect(await client.get('session:theirs')).toEqual({ user: 1, name: TEXT })
        const found = await client.getMulti(['temporary', 'session', 'static'])
        expect([...found.values()]).toEqual(['value', 'data', 'content'])
        expect(await client.get('hello')).toBeUndefined()
        expect(await client.incr('counter', 1)).toBe(2)
      })
    },
  )

  describeWithCommand(
    {
      command: ['/usr/bin/test', '-x', GO, '-a', '-d', '/usr/share/gocode/src/github.com/bradfitz/gomemcache'],
      debianPackage: 'golang-go golang-github-bradfitz-gomemcache-dev',
    },
    'Go',
    () => {
      it('reads our values, and our client reads its values', async () => {
        await using server = await launch(false)
        await using client = ours(server, false)
        await client.set('counter', '41')
        await using kit = memcache({ servers: server.address, logger: false, timeoutMs: 10_000 })
        await kit.set('ours', TEXT)
        await kit.getOrSet('ours-object', () => ({ id: 2, name: TEXT }))
        const cache = { HOME: folder, GOCACHE: join(folder, 'go-cache') }
        const environment = { ...process.env, ...GO_ENVIRONMENT, ...cache }
        const { stdout } = await run(GO, ['run', programFor('gomemcache-basics.go', server)], { env: environment })
        expect(stdout.trim().split('\n')).toEqual([
          'world',
          TEXT,
          `{"id":2,"name":"${TEXT}"}`,
          '2',
          'memcache: compare-and-swap conflict',
          'memcache: item not stored',
          'memcache: cache miss',
        ])
        expect(await client.get('ours')).toBe('swapped by Go')
        expect(await kit.get('ours')).toBe('swapped by Go')
        expect(await client.incr('counter', 1)).toBe(43)
        expect(await client.get('hello')).toBeUndefined()
        const user = await client.get('user:1')
        expect(JSON.parse(String(user))).toEqual({ id: 1, name: TEXT })
      })
    },
  )
})
