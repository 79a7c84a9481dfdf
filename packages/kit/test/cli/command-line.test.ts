import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  describeWithCommand,
  describeWithMemcached,
  freePort,
  launchMemcached,
  launchNutcracker,
  launchServer,
} from 'memcache-ts-testing'
import type { LaunchedServer } from 'memcache-ts-testing'
import { MemcachedClient } from 'memcache-ts-client'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { memcache } from '../../src/index.ts'
import { runCommand } from './run-command.ts'
import type { Ran } from './run-command.ts'

function commandsOn(launch: () => Promise<LaunchedServer>): void {
  let server: LaunchedServer
  let client: MemcachedClient
  const run = (...args: string[]): Promise<Ran> => runCommand([...args, '--servers', server.address])

  beforeAll(async () => {
    server = await launch()
    client = new MemcachedClient({ servers: server.address, timeoutMs: 20_000 })
  })
  beforeEach(() => client.flushAll())
  afterAll(async () => {
    await client.close()
    await server.kill()
  })

  it('stores, prints and deletes', async () => {
    expect(await run('set', 'city:1', '{"name":"Oslo"}', '--value-json', '--ttl', '5m')).toMatchObject({
      status: 0,
      output: `stored on ${server.address}, expires in 5 min\n`,
    })
    expect(await run('set', 'text', 'hello')).toMatchObject({
      output: `stored on ${server.address}, does not expire\n`,
    })
    expect(await client.get('city:1')).toEqual({ name: 'Oslo' })
    expect((await run('set', 'long', 'v', '--ttl', '40d')).output).toContain('expires in 40 d')
    expect((await client.meta.get('long'))!.ttlSeconds).toBeGreaterThan(39 * 86_400)
    expect(await run('get', 'text', 'city:1', 'gone')).toMatchObject({
      status: 1,
      output: "hello\n{ name: 'Oslo' }\n",
      errors: 'gone: not found\n',
    })
    const found = await run('get', 'city:1', '--meta', '--json')
    expect(found.json).toMatchObject([
      { key: 'city:1', value: { name: 'Oslo' }, clientFlags: 2, server: server.address },
    ])
    expect(await run('delete', 'text', 'gone')).toMatchObject({ status: 1, output: 'text: deleted\ngone: not found\n' })
    expect(await client.get('text')).toBeUndefined()
  })

  it('prints values that the kit stored, and the bytes of another client’s values', async () => {
    await using cache = memcache({ servers: server.address })
    await cache.namespace('kit').set(['a'], { when: 1 }, { ttlSeconds: 60, tags: ['t'] })
    expect((await run('get', 'kit:a')).output).toBe('{ when: 1 }\n')
    await using dalli = new MemcachedClient({
      servers: server.address,
      values: { encode: () => ({ bytes: Buffer.from('\u0004\b'), clientFlags: 999 }), decode: () => 0 },
      timeoutMs: 20_000,
    })
    await dalli.set('ruby', {}, 60)
    const foreign = await run('get', 'ruby')
    expect(foreign.output).toBe('\u0004\b')
    expect(foreign.errors).toContain('client flags 999')
  })

  it('reads a value from the standard input', async () => {
    await runCommand(['set', 'piped', '-', '--servers', server.address], 'from a pipe')
    expect(await client.get('piped')).toBe('from a pipe')
  })

  it('lists keys, by their beginning and in an order', async () => {
    await Promise.all([client.set('a:1', 'x'.repeat(500)), client.set('a:2', 'x', 60), client.set('b:1', 'x')])
    const all = await run('keys', '--json')
    expect(all.json.map((item) => (item as { key: string }).key).toSorted()).toEqual(['a:1', 'a:2', 'b:1'])
    expect((await run('keys', '--json', '--starts-with', 'a:', '--sort', 'size')).json).toMatchObject([
      { key: 'a:1', ttlSeconds: null },
      { key: 'a:2' },
    ])
    const first = await run('keys', '--limit', '1')
    expect(first.output.trim().split('\n')).toHaveLength(2)
    expect(first.errors).toContain('--limit shows more')
  })

  it('shows statistics, and refuses the forms that change something', async () => {
    await client.set('k', 'v')
    const [figures] = (await run('stats', '--json')).json as [Record<string, Record<string, unknown>>]
    expect(figures![server.address]).toMatchObject({ cmd_touch: 0, limit_maxbytes: 64 * 1024 * 1024 })
    expect((await run('stats', '--form', 'settings')).output).toMatch(/^evictions +on$/m)
    expect(await run('stats', '--form', 'reset')).toMatchObject({ status: 2 })
  })

  it('flushes with --yes, and elsewhere only after a confirmation', async () => {
    await client.set('k', 'v')
    expect(await run('flush')).toMatchObject({ status: 2, output: '' })
    expect(await client.get('k')).toBe('v')
    expect(await run('flush', '--yes')).toMatchObject({ status: 0, output: `${server.address}: flushed\n` })
    expect(await client.get('k')).toBeUndefined()
  })

  it('warms from a file, and names the lines that it cannot store', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-warm-'))
    const file = join(folder, 'items.ndjson')
    try {
      const lines = [
        '\uFEFF{"key":"w:1","value":1,"ttl":"1h"}',
        '{"key":"w:4","value":4,"ttl":"40d"}',
        '{"key":"w:2","value":{"x":[1]}}',
        'broken',
        '{"key":"with space","value":1}',
        '{"kee":1}',
        '{"key":"w:3","value":1,"ttl":"soon"}',
      ]
      writeFileSync(file, lines.join('\n'))
      await client.set('w:1', 'older', 60)
      const report = await run('warm', file, '--ttl', '10m', '--only-missing', '--json')
      expect(report.status).toBe(1)
      expect(report.json).toEqual([{ stored: 2, skipped: 1, failed: 4 }])
      expect(report.errors).toMatch(/line 4: not JSON/)
      expect(report.errors).toMatch(/line 5: a key must not contain a space/)
      expect(report.errors).toMatch(/line 6: 'kee' is not a known field/)
      expect(await client.get('w:1')).toBe('older')
      expect(await client.get('w:2')).toEqual({ x: [1] })
      const item = await client.meta.get('w:2')
      expect(item!.ttlSeconds).toBeGreaterThan(500)
      expect((await client.meta.get('w:4'))!.ttlSeconds).toBeGreaterThan(39 * 86_400)
      expect(await run('warm', folder)).toMatchObject({
        status: 2,
        errors: `memcache-ts: ${folder} cannot be read: it is a directory\n`,
      })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('measures throughput and latency, and stores nothing that does not expire', async () => {
    const report = await run('bench', '--seconds', '0.2', '--callers', '5', '--keys', '50', '--json')
    expect(report.status).toBe(0)
    const [figures] = report.json as [Record<string, number>]
    expect(figures!['operations']).toBeGreaterThan(0)
    expect(figures!['failed']).toBe(0)
    let lasting = 0
    await client.metadump(({ expiresAt }) => (expiresAt === Infinity ? lasting++ : 0))
    expect(lasting).toBe(0)
    expect((await run('bench', '--seconds', '0.1', '--keys', '5')).output).toMatch(/p99.9/)
  })

  it('prints the five figures as many times as requested', async () => {
    const report = await run('top', '--interval-seconds', '0.05', '--count', '2', '--json')
    expect(report.json).toHaveLength(2)
    expect(report.json[1]).toMatchObject([{ server: server.address, up: true, limitBytes: 64 * 1024 * 1024 }])
    expect((await run('top', '--interval-seconds', '0.05')).output).toContain(server.address)
  })

  it('finds nothing to change in a set-up that is right', async () => {
    for (let index = 0; index < 200; index++) await client.set(`k:${index}`, 'v', 60)
    const report = await run('doctor', '--slow-ms', '10000', '--watch-seconds', '0', '--json')
    const findings = report.json as { level: string; check: string; text: string }[]
    expect(findings.filter(({ level }) => level === 'warning' || level === 'fault')).toEqual([])
    expect(report.status).toBe(0)
    expect((await run('doctor', '--slow-ms', '10000', '--watch-seconds', '0')).output).toMatch(/0 to change, 0 broken/)
  })

  it('finds keys without a lifetime', async () => {
    for (let index = 0; index < 200; index++) await client.set(`k:${index}`, 'v', index < 100 ? 60 : Infinity)
    const report = await run('doctor', '--slow-ms', '10000', '--watch-seconds', '0', '--json')
    expect(report.status).toBe(1)
    expect(report.json).toContainEqual(expect.objectContaining({ check: 'keysWithoutTtl', level: 'warning' }))
  })

  it('finds the key that is fetched most', async () => {
    await client.set('hot', 'v', 60)
    let done = false
    const load = (async () => {
      while (!done) await Promise.all(Array.from({ length: 200 }, () => client.meta.get('hot')))
    })()
    const report = await run('doctor', '--watch-seconds', '0.5', '--json')
    done = true
    await load
    expect(report.json).toContainEqual(expect.objectContaining({ check: 'hotKeys', level: 'warning' }))
  })
}

describe('memcache-ts on our server', () => commandsOn(launchServer))
describeWithMemcached('memcache-ts on memcached', () => commandsOn(launchMemcached))

const findNutcracker = ['sh', '-c', 'PATH="$PATH:/usr/sbin"; command -v nutcracker']

describeWithCommand({ command: findNutcracker, debianPackage: 'nutcracker' }, 'memcache-ts on twemproxy', () => {
  it('reads and writes keys, and reports commands that a proxy does not support', async () => {
    await using proxy = await launchNutcracker()
    const run = (...args: string[]): Promise<Ran> => runCommand([...args, '--servers', proxy.address])
    expect(await run('set', 'k', 'v')).toMatchObject({ status: 0 })
    expect(await run('get', 'k')).toMatchObject({ status: 0, output: 'v\n' })
    expect(await run('get', 'k', '--meta')).toMatchObject({
      status: 1,
      errors: expect.stringContaining('no meta commands'),
    })
    expect(await run('delete', 'k')).toMatchObject({ status: 0 })
    const report = await run('doctor', '--watch-seconds', '0')
    expect(report.status).toBe(1)
    expect(report.output).toContain('check the servers behind it by their own addresses')
    for (const command of ['stats', 'keys', 'top']) expect((await run(command)).errors).toContain(proxy.address)
  })
})

describe('memcache-ts', () => {
  it('explains an invalid command line, and exits with 2', async () => {
    expect(await runCommand(['gte', 'k'])).toMatchObject({
      status: 2,
      errors: expect.stringContaining('Did you mean get?'),
    })
    expect(await runCommand(['get'])).toMatchObject({ status: 2 })
    expect(await runCommand(['bench', '--writes', '101'])).toMatchObject({ status: 2 })
    expect(await runCommand(['get', 'with space'])).toMatchObject({ status: 2 })
    expect(await runCommand(['stats', '--form', ' reset'])).toMatchObject({ status: 2 })
    expect(await runCommand(['get', 'k', '--servers', 'http://x'])).toMatchObject({ status: 2 })
    expect(await runCommand(['get', 'k', '--username', 'ann'])).toMatchObject({
      status: 2,
      errors: expect.stringContaining('MEMCACHE_PASSWORD'),
    })
  })

  it('reports that no server responds, and exits with 3', async () => {
    const nowhere = `127.0.0.1:${await freePort()}`
    for (const command of [
      ['get', 'k'],
      ['stats'],
      ['keys'],
      ['flush', '--yes'],
      ['bench'],
      ['top', '--interval-seconds', '0.01'],
      ['doctor'],
    ]) {
      expect(await runCommand([...command, '--servers', nowhere])).toMatchObject({ status: 3 })
    }
  })

  it.each([
    ['stats'],
    ['keys'],
    ['flush', '--yes'],
    ['top', '--interval-seconds', '0.01'],
    ['doctor', '--watch-seconds', '0'],
  ])('lists the servers that are away, goes on with the others, and exits with 1: %s', async (...command) => {
    await using server = await launchServer()
    const nowhere = `127.0.0.1:${await freePort()}`
    const report = await runCommand([...command, '--servers', `${server.address},${nowhere}`])
    expect(report.status).toBe(1)
    expect(report.errors + report.output).toContain(nowhere)
    if (command[0] !== 'keys') expect(report.output).toContain(server.address)
  })

  it('reads and deletes the keys whose servers respond, names the others, and exits with 1', async () => {
    await using server = await launchServer()
    const servers = `${server.address},127.0.0.1:${await freePort()}`
    await using client = new MemcachedClient({ servers, failover: 'none', timeoutMs: 20_000 })
    const keys = Array.from({ length: 20 }, (_, index) => `k${index}`)
    const there = keys.filter((key) => client.serverOf(key) === server.address)
    const away = keys.filter((key) => !there.includes(key))
    for (const key of there) await client.set(key, key)
    const read = await runCommand(['get', ...keys, '--servers', servers])
    expect(read).toMatchObject({ status: 1, output: there.map((key) => `${key}\n`).join('') })
    for (const key of away) expect(read.errors).toContain(`${key}: `)
    const deleted = await runCommand(['delete', ...keys, '--servers', servers])
    expect(deleted).toMatchObject({ status: 1, output: there.map((key) => `${key}: deleted\n`).join('') })
    expect(await runCommand(['get', ...away, '--servers', servers])).toMatchObject({ status: 3, output: '' })
  })

  it('takes its servers from the arguments, --servers, or MEMCACHE_SERVERS', async () => {
    await using server = await launchServer()
    const { address } = server
    for (const [args, env] of [
      [['stats', address], {}],
      [['stats', '--servers', address], {}],
      [['stats'], { MEMCACHE_SERVERS: address }],
    ] as const) {
      const report = await runCommand([...args, '--json'], '', env)
      expect(Object.keys(report.json[0] as object)).toEqual([address])
    }
  })

  it('finds that another client places keys in another way, and which', async () => {
    await using a = await launchServer()
    await using b = await launchServer()
    const servers = [a.address, b.address].join(',')
    await using client = new MemcachedClient({ servers, hash: 'modula', timeoutMs: 20_000 })
    await Promise.all(Array.from({ length: 400 }, (_, index) => client.set(`k:${index}`, 'v', 60)))
    const report = await runCommand(['doctor', a.address, b.address, '--watch-seconds', '0', '--json'])
    expect(report.json).toContainEqual(
      expect.objectContaining({ check: 'ring', level: 'warning', advice: expect.stringContaining("hash: 'modula'") }),
    )
    const right = await runCommand([
      'doctor',
      a.address,
      b.address,
      '--hash',
      'modula',
      '--watch-seconds',
      '0',
      '--json',
    ])
    expect(right.json).toContainEqual(expect.objectContaining({ check: 'ring', level: 'ok' }))
  })

  it('never sends characters to the terminal that would steer it', async () => {
    await using server = await launchServer()
    await using client = new MemcachedClient({ servers: server.address, timeoutMs: 20_000 })
    await client.set(Buffer.from('esc\u009b31m'), 'v', 60)
    const report = await runCommand(['keys', '--servers', server.address])
    expect(report.output).toContain('\\u009b')
    expect(report.output).not.toContain('\u009b')
  })

  it('completes every command', async () => {
    const { output } = await runCommand(['completion', 'bash'])
    for (const command of ['top', 'stats', 'doctor', 'get', 'set', 'delete', 'keys', 'flush', 'warm', 'bench']) {
      expect(output).toMatch(new RegExp(`\\b${command}\\b`))
    }
    expect((await runCommand(['completion', 'fish'])).output).toContain('complete -c memcache-ts')
    expect(await runCommand(['completion', 'cmd'])).toMatchObject({ status: 2 })
  })

  it.each([
    ['nothing', [], 'doctor'],
    ['a global option', ['--json'], 'doctor'],
    ['a command', ['doctor'], '--slow-ms'],
    ['a command behind a global option', ['--json', 'doctor'], '--slow-ms'],
    ['a command behind an option and its value', ['--servers', 'a', ':', '11211', 'doctor'], '--slow-ms'],
    ['a command behind an option with =', ['--prefix', '=', 'top', 'doctor'], '--slow-ms'],
    ['a command behind the name of another as a value', ['--prefix', 'top', 'doctor'], '--slow-ms'],
    ['a command and its argument', ['doctor', 'top'], '--slow-ms'],
  ])('completes in bash what may follow %s', async (_, words, expected) => {
    const { output } = await runCommand(['completion', 'bash'])
    const typed = ['memcache-ts', ...words, ''].map((word) => `'${word}'`).join(' ')
    const script = `${output}\nCOMP_WORDS=(${typed}); COMP_CWORD=${words.length + 1}; _memcache_ts; echo "\${COMPREPLY[@]}"`
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(stdout.trim().split(' ')).toContain(expected)
    expect(stdout.includes('--interval-seconds')).toBe(false)
  })

  it('prints help and version with status 0', async () => {
    expect(await runCommand(['--help'])).toMatchObject({ status: 0, output: expect.stringContaining('Exit status') })
    expect(await runCommand(['help', 'doctor'])).toMatchObject({
      status: 0,
      output: expect.stringContaining('--watch-seconds'),
    })
    expect(await runCommand(['--version'])).toMatchObject({ status: 0, output: '0.1.0\n' })
  })
})
