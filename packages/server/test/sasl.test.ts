import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { Opcode, Status } from 'memcache-ts-protocol'
import { FakeClock } from 'memcache-ts-testing'
import { afterAll, describe, expect, it } from 'vitest'
import { MemcachedServer } from '../src/memcached-server.ts'
import { packet, responses } from './binary-packets.ts'
import { Exchange } from './exchange.ts'

const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-sasl-'))
const saslPasswordFile = join(folder, 'users')
const MAX_PASSWORD = 'p'.repeat(248)
writeFileSync(
  saslPasswordFile,
  `foo:bar\nbaaaz:quux\r\nempty:\nwith:colon:inside\nnobody\nuser@realm:pw\nhere@${hostname()}:pw\nlong:${MAX_PASSWORD}x\nlon:${MAX_PASSWORD}x`,
)
afterAll(() => rmSync(folder, { recursive: true }))

const auth = (message: string, mechanism = 'PLAIN'): Buffer =>
  packet(Opcode.saslAuth, { key: mechanism, value: message })
const step = (message: string): Buffer => packet(Opcode.saslStep, { key: 'PLAIN', value: message })
const plain = (user: string, password: string): string => `\0${user}\0${password}`
const get = packet(Opcode.get, { key: 'a' })
const GOOD = plain('foo', 'bar')
const BAD = plain('foo', 'wrong')

/** The statuses of the replies to these requests on one connection, in hexadecimal, and whether it was closed. */
async function statuses(server: MemcachedServer, requests: readonly Buffer[]): Promise<string> {
  const exchange = new Exchange(server)
  const found: string[] = []
  for (const request of requests) {
    if (exchange.closed) break
    for (const { status } of responses(await exchange.send(request))) found.push(status.toString(16))
  }
  if (exchange.closed) found.push('closed')
  return found.join(' ')
}

describe('SASL', () => {
  it('refuses all commands without credentials, except for the version and the mechanisms', async () => {
    await using server = new MemcachedServer({ saslPasswordFile })
    for (let opcode = 0; opcode < 256; opcode++) {
      const exchange = new Exchange(server)
      const [response] = responses(await exchange.send(packet(opcode, { key: 'key', value: 'value' })))
      if (opcode === Opcode.saslMechanisms || opcode === Opcode.version) continue
      expect(response?.status, `opcode ${opcode}`).toBe(Status.authError)
      expect(exchange.closed, `opcode ${opcode}`).toBe(opcode !== Opcode.saslAuth && opcode !== Opcode.saslStep)
    }
    const exchange = new Exchange(server)
    const [mechanisms, version] = responses(
      await exchange.send(Buffer.concat([packet(Opcode.saslMechanisms), packet(Opcode.version)])),
    )
    expect(mechanisms).toMatchObject({ status: 0, value: 'PLAIN' })
    expect(version).toMatchObject({ status: 0, value: '1.6.45' })
    expect(server.stats()).toMatchObject({ curr_items: 0, cmd_get: 0, cmd_set: 0 })
  })

  it('closes connections with text requests', async () => {
    await using server = new MemcachedServer({ saslPasswordFile })
    for (const text of ['get a\r\n', 'version\r\n', 'set x 0 0 7\r\nfoo bar\r\n', 'watch\r\n', '\r\n', 'mn\r\n']) {
      const exchange = new Exchange(server)
      expect(await exchange.send(text)).toBe('')
      expect(exchange.closed, text).toBe(true)
    }
  })

  it.each([
    ['foo', 'bar'],
    ['baaaz', 'quux'],
    ['empty', ''],
    ['with', 'colon:inside'],
    ['with', 'colon'],
    ['user@realm', 'pw'],
    ['here', 'pw'],
    [`here@${hostname()}`, 'pw'],
    ['long', MAX_PASSWORD],
  ])('lets %s in', async (user, password) => {
    await using server = new MemcachedServer({ saslPasswordFile })
    const isLong = user === 'long'
    expect(await statuses(server, [auth(plain(user, password)), get])).toBe(isLong ? '20 20 closed' : '0 1')
    expect(server.stats()).toMatchObject({ auth_cmds: 1, auth_errors: isLong ? 1 : 0 })
  })

  it.each([
    ['a wrong password', plain('foo', 'ba')],
    ['a longer password', plain('foo', 'barr')],
    ['no password', plain('foo', '')],
    ['nobody', plain('', 'bar')],
    ['a line without a password', plain('nobody', '')],
    ['a user with a colon', plain('with:colon', 'inside')],
    ['another realm', plain('foo@realm', 'bar')],
    ['the realm left out', plain('user', 'pw')],
    ['another identity', 'root\0foo\0bar'],
    ['something behind', `${GOOD}\0`],
    ['more behind', `${GOOD}\0x`],
    ['one NUL', 'foo\0bar'],
    ['no NUL', 'foobar'],
    ['NULs alone', '\0\0\0\0'],
    ['a user and password over 252 bytes', plain('long', `${MAX_PASSWORD}x`)],
    ['a thousand NULs', '\0'.repeat(1000)],
    ['100 kB', plain('foo', 'x'.repeat(100_000))],
  ])('refuses %s, and the connection may try again', async (_, message) => {
    await using server = new MemcachedServer({ saslPasswordFile })
    expect(await statuses(server, [auth(message), get])).toBe('20 20 closed')
    expect(await statuses(server, [auth(message), auth(GOOD), get])).toBe('20 0 1')
    expect(server.stats()).toMatchObject({ auth_cmds: 3, auth_errors: 2 })
  })

  /** The responses of memcached 1.6.45, built with its password database, to the same requests. */
  it.each([
    ['the mechanism in lower case', [auth(GOOD, 'plain'), get], '0 1'],
    ['the identity given', [auth('foo\0foo\0bar'), get], '0 1'],
    ['an unknown mechanism', [auth(GOOD, 'CRAM-MD5'), get], '20 20 closed'],
    ['an unknown mechanism, then PLAIN', [auth(GOOD, 'NOPE'), auth(GOOD), get], '20 0 1'],
    ['a mechanism of 32 bytes', [auth(GOOD, 'X'.repeat(32)), auth(GOOD), get], '20 0 1'],
    ['a mechanism of 33 bytes', [auth(GOOD, 'X'.repeat(33)), auth(GOOD), get], '4 0 1'],
    ['a mechanism of 251 bytes', [auth(GOOD, 'X'.repeat(251)), auth(GOOD)], '4 closed'],
    ['no mechanism', [auth(GOOD, ''), auth(GOOD)], '4 closed'],
    ['extras', [packet(Opcode.saslAuth, { extras: Buffer.alloc(4), key: 'PLAIN', value: GOOD })], '4 closed'],
    ['the list with a key', [packet(Opcode.saslMechanisms, { key: 'x' })], '4 closed'],
    ['the message in a step', [auth(''), step(GOOD), get], '21 0 1'],
    ['a wrong and a right step', [auth(''), step(BAD), step(GOOD), get], '21 20 0 1'],
    ['an empty step', [auth(''), step(''), step(GOOD), get], '21 20 0 1'],
    ['begun twice', [auth(''), auth(GOOD), get], '21 0 1'],
    ['a step first', [step(GOOD), auth(GOOD), get], '20 0 1'],
    ['a step after a failure', [auth(BAD), step(GOOD), get], '20 20 20 closed'],
    ['twice', [auth(GOOD), auth(GOOD), get], '0 20 20 closed'],
    ['right, then wrong', [auth(GOOD), auth(BAD), get], '0 20 20 closed'],
    ['right, then a step', [auth(GOOD), step(GOOD), get], '0 20 20 closed'],
    ['right, then the list', [auth(GOOD), packet(Opcode.saslMechanisms), get], '0 0 20 closed'],
    ['a message of 520,000 bytes', [auth(plain('foo', 'x'.repeat(520_000))), auth(GOOD), get], '20 0 1'],
    ['a message of 1 MiB', [auth('\0'.repeat(1024 * 1024)), auth(GOOD), get], '82 0 1'],
  ])('answers %s as memcached does', async (_, requests, expected) => {
    await using server = new MemcachedServer({ saslPasswordFile })
    expect(await statuses(server, requests)).toBe(expected)
  })

  it('lets one connection in, and no other with it', async () => {
    await using server = new MemcachedServer({ saslPasswordFile })
    const [one, other] = [new Exchange(server), new Exchange(server)]
    await one.send(auth(GOOD))
    expect(responses(await other.send(get))[0]!.status).toBe(Status.authError)
    expect(responses(await one.send(get))[0]!.status).toBe(Status.notFound)
  })

  it('takes credentials in pieces, however the network cuts them', async () => {
    await using server = new MemcachedServer({ saslPasswordFile })
    const bytes = Buffer.concat([auth(BAD), auth(''), step(GOOD), get])
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 8 }), async (cuts) => {
        const received = await new Exchange(server).sendInPieces(bytes, cuts)
        expect(responses(received).map(({ status }) => status)).toEqual([0x20, 0x21, 0, 1])
      }),
      { numRuns: 30 },
    )
  })

  it('authenticates by no other request', async () => {
    await using server = new MemcachedServer({ saslPasswordFile })
    const request = fc.oneof(
      fc
        .tuple(fc.constantFrom(Opcode.saslAuth, Opcode.saslStep), fc.string({ unit: 'binary', maxLength: 40 }))
        .map(([opcode, value]) => packet(opcode, { key: 'PLAIN', value: Buffer.from(value).toString('latin1') })),
      fc.constantFrom(auth(''), auth(BAD), step(BAD), step(''), auth(`${GOOD}\0`), packet(Opcode.saslMechanisms)),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 9 }), async (requests) => {
        const exchange = new Exchange(server)
        for (const bytes of requests) await exchange.send(bytes)
        expect(responses(await exchange.send(get))[0]?.status).toBe(Status.authError)
      }),
      { numRuns: 60 },
    )
    expect(server.stats()).toMatchObject({ cmd_get: 0 })
  })

  it('closes a connection that tries too often, and logs whose password it was, escaped, without the password', async () => {
    const clock = new FakeClock()
    await using server = new MemcachedServer({ saslPasswordFile, clock })
    const lines: string[] = []
    server.on('log', (line) => lines.push(line))
    const exchange = new Exchange(server)
    const attempts = Buffer.concat(Array.from({ length: 20 }, () => auth(plain('foo\r\n\x1b[2J', 'secret'))))
    expect(responses(await exchange.send(attempts)).map(({ status }) => status)).toEqual(Array(10).fill(0x20))
    expect(exchange.closed).toBe(true)
    clock.advanceSeconds(1)
    await new Exchange(server).send(auth(plain('x'.repeat(200), 'secret')))
    clock.advanceSeconds(1)
    await new Exchange(server).send(auth('secret'))
    expect(lines).toEqual([
      String.raw`refused wrong credentials of user 'foo\x0d\x0a\x1b[2J' (attempts since the last such line: 1)`,
      `refused wrong credentials of user '${'x'.repeat(64)}' (attempts since the last such line: 10)`,
      'refused wrong credentials (attempts since the last such line: 1)',
    ])
  })

  it('reads the file again when it has changed, and accepts no credentials while it cannot be read', async () => {
    const path = join(folder, 'changing')
    const replace = (text: string): void => {
      writeFileSync(`${path}.new`, text)
      renameSync(`${path}.new`, path)
    }
    replace('one:1\n')
    await using server = new MemcachedServer({ saslPasswordFile: path })
    const ask = (user: string): Promise<string> => statuses(server, [auth(plain(user, '1'))])
    expect([await ask('one'), await ask('two')]).toEqual(['0', '20'])
    replace('two:1\n')
    expect([await ask('one'), await ask('two')]).toEqual(['20', '0'])
    rmSync(path)
    expect([await ask('one'), await ask('two')]).toEqual(['20', '20'])
    replace('one:1\n')
    expect(await ask('one')).toBe('0')
  })

  it('shows passwords nowhere', async () => {
    await using server = new MemcachedServer({ saslPasswordFile, verbosity: 3 })
    const lines: string[] = []
    server.on('log', (line) => lines.push(line))
    const exchange = new Exchange(server)
    await exchange.send(auth(plain('baaaz', 'quux')))
    const settings = await exchange.send(packet(Opcode.stat, { key: 'settings' }))
    const values = Object.fromEntries(responses(settings).map(({ key, value }) => [key, value]))
    expect(values).toMatchObject({ auth_enabled_sasl: 'yes', auth_enabled_ascii: 'no', binding_protocol: 'binary' })
    for (const text of [settings, lines.join('\n'), inspect(server, { depth: 9 })]) expect(text).not.toContain('quux')
  })

  it('ends the start if the file cannot be read, or another protocol is chosen', () => {
    const none = join(folder, 'none')
    expect(() => new MemcachedServer({ saslPasswordFile: none })).toThrow(
      `cannot read the SASL password file ${none}: ENOENT`,
    )
    for (const protocol of ['auto', 'ascii'] as const) {
      expect(() => new MemcachedServer({ saslPasswordFile, protocol })).toThrow(
        'saslPasswordFile works only with the binary protocol',
      )
    }
    expect(() => new MemcachedServer({ saslPasswordFile, authFile: saslPasswordFile })).toThrow('exclude each other')
  })

  it('is an unknown command on a server without authentication', async () => {
    await using server = new MemcachedServer()
    expect(await statuses(server, [packet(Opcode.saslMechanisms), auth(GOOD), step(GOOD), get])).toBe('81 81 81 1')
    expect(await statuses(server, [auth(GOOD, '')])).toBe('4 closed')
  })
})
