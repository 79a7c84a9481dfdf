import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { FakeClock } from 'memcache-ts-testing'
import { afterAll, describe, expect, it } from 'vitest'
import { MemcachedServer } from '../src/memcached-server.ts'
import { Exchange } from './exchange.ts'

const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-auth-'))
const authFile = join(folder, 'users')
writeFileSync(authFile, 'foo:bar\nbaaaz:quux\r\nempty:\nwith:colon:inside')
afterAll(() => rmSync(folder, { recursive: true }))

const UNAUTHENTICATED = 'CLIENT_ERROR unauthenticated\r\n'
const FAILED = 'CLIENT_ERROR authentication failure\r\n'

function credentials(user: string, password: string): string {
  const token = `${user} ${password}`
  return `set x 0 0 ${token.length}\r\n${token}\r\n`
}

describe('an authentication file', () => {
  it('refuses every command without credentials', async () => {
    await using server = new MemcachedServer({ authFile })
    const requests = [
      'get a',
      'mn',
      'mg a v',
      'version',
      'stats',
      'set a 0 0',
      'set a 0 0 x',
      'set a 0 0 -1',
      'flush_all',
    ]
    for (const request of [...requests, 'watch', 'lru_crawler metadump all', 'delete a noreply', 'ms a 1']) {
      const exchange = new Exchange(server)
      const reply = await exchange.send(`${request}\r\n`)
      expect(reply === UNAUTHENTICATED || (reply === '' && exchange.closed), `${request}: ${reply}`).toBe(true)
    }
    const binary = new Exchange(server)
    expect(await binary.send(Buffer.from([0x80, 1, 0, 0, 0, 0, 0, 0, 13, 10]))).toBe(UNAUTHENTICATED)
  })

  it.each([
    ['foo', 'bar'],
    ['baaaz', 'quux'],
    ['empty', ''],
    ['with', 'colon:inside'],
  ])('lets %s in by any set, and what is sent behind it be run', async (user, password) => {
    await using server = new MemcachedServer({ authFile })
    const exchange = new Exchange(server)
    const reply = await exchange.send(`${credentials(user, password)}set a 0 0 1\r\nx\r\nget a x\r\n`)
    expect(reply).toBe('STORED\r\nSTORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n')
    expect(server.stats()).toMatchObject({ auth_cmds: 1, auth_errors: 0, cmd_set: 1 })
  })

  it('takes credentials in pieces, however the network cuts them', async () => {
    await using server = new MemcachedServer({ authFile })
    const bytes = `${credentials('foo', 'wrong')}get a\r\n${credentials('foo', 'bar')}get a\r\nmn\r\n`
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 8 }), async (cuts) => {
        const received = await new Exchange(server).sendInPieces(bytes, cuts)
        expect(received).toBe(`${FAILED}${UNAUTHENTICATED}STORED\r\nEND\r\nMN\r\n`)
      }),
      { numRuns: 30 },
    )
  })

  it.each([
    ['set x 0 0 7\r\nfoo bab\r\n', FAILED],
    ['set x 0 0 8\r\nfoo bar \r\n', FAILED],
    ['set x 0 0 4\r\nfoo \r\n', FAILED],
    ['set x 0 0 7\r\nfoo\0bar\r\n', 'CLIENT_ERROR bad authentication token format\r\n'],
    ['set x 0 0 7\r\nfoo bar!!', 'CLIENT_ERROR bad command line termination\r\n'],
    ['set x 0 0 16385\r\n', 'CLIENT_ERROR auth token too long\r\n'],
    ['set x 0 0 4294967296\r\n', UNAUTHENTICATED],
  ])('refuses %j', async (request, reply) => {
    await using server = new MemcachedServer({ authFile })
    expect(await new Exchange(server).send(request)).toBe(reply)
  })

  it.each(['abc\r\n', '\r\n', 'x'.repeat(3000), `get ${'x'.repeat(3000)}`])('closes on %j', async (bytes) => {
    await using server = new MemcachedServer({ authFile })
    const exchange = new Exchange(server)
    expect(await exchange.send(bytes)).toBe('')
    expect(exchange.closed).toBe(true)
  })

  it('closes a connection that tries too often, and logs it without the passwords', async () => {
    const clock = new FakeClock()
    await using server = new MemcachedServer({ authFile, clock })
    const lines: string[] = []
    server.on('log', (line) => lines.push(line))
    const exchange = new Exchange(server)
    expect(await exchange.send(credentials('foo', 'secret').repeat(20))).toBe(FAILED.repeat(10))
    expect(exchange.closed).toBe(true)
    clock.advanceSeconds(1)
    await new Exchange(server).send(credentials('foo', 'secret'))
    expect(lines).toEqual([
      "refused wrong credentials of user 'foo' (attempts since the last such line: 1)",
      "refused wrong credentials of user 'foo' (attempts since the last such line: 10)",
    ])
    expect(server.stats()).toMatchObject({ auth_cmds: 11, auth_errors: 11 })
  })

  it('is read again by reload; one that cannot be used changes nothing', async () => {
    const path = join(folder, 'changing')
    writeFileSync(path, 'one:1\n')
    await using server = new MemcachedServer({ authFile: path })
    const lines: string[] = []
    server.on('log', (line) => lines.push(line))
    const ask = (user: string): Promise<string> => new Exchange(server).send(credentials(user, '1'))
    writeFileSync(path, 'two:1\n')
    expect(await ask('two')).toBe(FAILED)
    server.reload()
    expect([await ask('two'), await ask('one')]).toEqual(['STORED\r\n', FAILED])
    writeFileSync(path, 'three:1\nsecret-without-colon\n')
    lines.length = 0
    server.reload()
    expect(lines).toEqual([
      `line 2 of the authentication file ${path} must be 'user:password'; the credentials stay as they were`,
    ])
    expect(await ask('two')).toBe('STORED\r\n')
  })

  it('is shown nowhere', async () => {
    await using server = new MemcachedServer({ authFile, verbosity: 2 })
    const lines: string[] = []
    server.on('log', (line) => lines.push(line))
    const exchange = new Exchange(server)
    const settings = await exchange.send(`${credentials('baaaz', 'quux')}stats settings\r\n`)
    expect(settings).toContain(`STAT auth_enabled_ascii ${authFile}\r\n`)
    for (const text of [settings, lines.join('\n'), inspect(server, { depth: 9 })]) expect(text).not.toContain('quux')
  })

  it('ends the start when it cannot be read', () => {
    expect(() => new MemcachedServer({ authFile: join(folder, 'none') })).toThrow('cannot read the authentication file')
  })
})
