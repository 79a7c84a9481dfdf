import { createPrivateKey } from 'node:crypto'
import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { inspect } from 'node:util'
import { MemcachedServer } from 'memcache-ts-server'
import type { ServerTlsOptions } from 'memcache-ts-server'
import { TestCertificates } from 'memcache-ts-testing'
import { afterAll, describe, expect, it } from 'vitest'
import { MemcachedClient } from '../src/index.ts'
import type { MemcachedClientOptions } from '../src/index.ts'

const certificates = new TestCertificates()
afterAll(() => certificates.dispose())
const files = certificates.issue('server')
const clientFiles = certificates.issue('client')
const stranger = certificates.issue('stranger', { selfSigned: true })
const expired = certificates.issueExpired('expired')
const ca = readFileSync(certificates.ca.cert)
const tls: ServerTlsOptions = { chainCertFile: files.cert, keyFile: files.key, caCertFile: certificates.ca.cert }
const BIG = { big: 'x'.repeat(300_000) }

async function serve(options: ServerTlsOptions = tls): Promise<{ server: MemcachedServer; address: string }> {
  const server = new MemcachedServer({ port: 0, tls: options })
  const { host, port } = await server.listen()
  return { server, address: `${host}:${port}` }
}

function pair(from: { cert: string; key: string }): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(from.cert), key: readFileSync(from.key) }
}

describe('our client and our server over TLS', () => {
  it.each(['meta', 'text', 'binary'] as const)('understand each other (%s)', async (protocol) => {
    const { server, address } = await serve()
    await using _ = server
    await using client = new MemcachedClient({ servers: address, tls: { ca }, protocol, timeoutMs: 20_000 })
    await client.set('a', BIG)
    await Promise.all(Array.from({ length: 50 }, (_, index) => client.set(`k${index}`, index)))
    expect(await client.get('a')).toEqual(BIG)
    const many = await client.getMulti(Array.from({ length: 50 }, (_, index) => `k${index}`))
    expect(many.size).toBe(50)
    await using byUrl = new MemcachedClient({
      servers: `memcaches://${address}?tlsCaFile=${certificates.ca.cert}`,
      timeoutMs: 20_000,
    })
    expect(await byUrl.get('a')).toEqual(BIG)
  })

  it('request certificates of each other, and report which one is missing or refused', async () => {
    const { server, address } = await serve({ ...tls, verifyMode: 'require' })
    await using _ = server
    const options: MemcachedClientOptions = { servers: address, timeoutMs: 20_000, connectTimeoutMs: 20_000 }
    await using good = new MemcachedClient({ ...options, tls: { ca, ...pair(clientFiles) } })
    await good.set('a', 1)
    const refused = 'it may not speak TLS, or not accept the client certificate'
    const wrong: [TlsOptions, string][] = [
      [{ ca }, 'the server demands tls.cert and tls.key'],
      [{ ca, maxVersion: 'TLSv1.2' }, 'the server may demand tls.cert and tls.key'],
      [{ ca, ...pair(stranger) }, refused],
      [{ ca, ...pair(expired) }, refused],
      [pair(clientFiles), "give the authority of the server's certificate as tls.ca"],
      [{ ca, ...pair(clientFiles), servername: 'other.example' }, "give the certificate's name as tls.servername"],
    ]
    for (const [tls, message] of wrong) {
      await using bad = new MemcachedClient({ ...options, tls })
      const error: unknown = await bad.get('a').catch((error: unknown) => error)
      expect(error).toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION', server: address })
      expect(String(error)).toContain(message)
      expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain('PRIVATE KEY')
    }
    expect(await good.get('a')).toBe(1)
  })

  it('report that the certificate of the server has expired', async () => {
    const { server, address } = await serve({ chainCertFile: expired.cert, keyFile: expired.key })
    await using _ = server
    await using client = new MemcachedClient({ servers: address, tls: { ca }, timeoutMs: 20_000 })
    await expect(client.get('a')).rejects.toThrow("the server's certificate has expired")
  })

  it('survive a lookup that throws, calls back twice or gives no address', async () => {
    const { server, address } = await serve()
    await using _ = server
    const port = address.split(':')[1]!
    type Lookup = NonNullable<TlsOptions['lookup']>
    const good = { address: '127.0.0.1', family: 4 }
    const answers = (...results: readonly unknown[]): Lookup => {
      return (_hostname, _options, callback) =>
        process.nextTick(() => {
          for (const result of results) (callback as (error: unknown, found: unknown) => void)(null, result)
        })
    }
    const lookups: readonly [Lookup, works: boolean][] = [
      [answers([good]), true],
      [answers([good], [good], null), true],
      [answers(null), false],
      [answers([]), false],
      [answers([null]), false],
      [answers('nowhere'), false],
      [answers([{ address: 5, family: 4 }]), false],
      [(_hostname, _options, callback) => callback(new Error('no such name') as NodeJS.ErrnoException, ''), false],
      [
        () => {
          throw new Error('mine')
        },
        false,
      ],
    ]
    for (const [lookup, works] of lookups) {
      await using client = new MemcachedClient({
        servers: `memcached.invalid:${port}`,
        tls: { ca, lookup, servername: 'localhost' },
        timeoutMs: 20_000,
        connectTimeoutMs: 20_000,
      })
      const failure = await client.set('k', 'v').catch((error: unknown) => error)
      if (works) expect(failure).toBeUndefined()
      else expect(failure).toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
    }
  })

  it('take an exception of checkServerIdentity for a refusal, at once and without ending the process', async () => {
    const { server, address } = await serve()
    await using _ = server
    const checkServerIdentity = (): undefined => {
      throw new Error('my own check is broken')
    }
    const limits = { timeoutMs: 600_000, connectTimeoutMs: 600_000 }
    await using client = new MemcachedClient({ servers: address, tls: { ca, checkServerIdentity }, ...limits })
    await expect(client.get('a')).rejects.toThrow('my own check is broken')
  })

  it('report that only one side uses TLS', async () => {
    const { server, address } = await serve()
    await using _ = server
    await using plainServer = new MemcachedServer({ port: 0 })
    const { port } = await plainServer.listen()
    await using overTls = new MemcachedClient({ servers: `127.0.0.1:${port}`, tls: { ca }, timeoutMs: 20_000 })
    await expect(overTls.get('a')).rejects.toThrow('it does not speak TLS: leave tls out, or use its TLS port')
    await using plain = new MemcachedClient({ servers: address, timeoutMs: 20_000 })
    await expect(plain.get('a')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION', server: address })
  })

  it('stay open while certificates are replaced', async () => {
    const live = { cert: join(certificates.folder, 'live.pem'), key: join(certificates.folder, 'live.key') }
    const install = (from: { cert: string; key: string }): void => {
      copyFileSync(from.cert, live.cert)
      copyFileSync(from.key, live.key)
    }
    install(files)
    const { server, address } = await serve({ chainCertFile: live.cert, keyFile: live.key })
    await using _ = server
    await using client = new MemcachedClient({ servers: address, tls: { ca }, timeoutMs: 20_000 })
    for (let round = 0; round < 10; round++) {
      install(round % 2 === 0 ? clientFiles : files)
      server.reload()
      await client.set('a', round)
      expect(await client.get('a')).toBe(round)
      await using fresh = new MemcachedClient({ servers: address, tls: { ca }, timeoutMs: 20_000 })
      expect(await fresh.get('a')).toBe(round)
    }
  })
})

describe('TLS options', () => {
  const { cert, key } = pair(clientFiles)
  const secret = 81_549_300
  const notPem = 'must be PEM, not the names of files'
  it.each<[object, string]>([
    [{ ca: certificates.ca.cert }, 'tls.ca must be certificates in PEM, not the name of a file'],
    [{ ca: [ca, certificates.ca.cert] }, 'tls.ca must be certificates in PEM, not the name of a file'],
    [{ cert: clientFiles.cert, key: clientFiles.key }, notPem],
    [{ cert, key: clientFiles.key }, notPem],
    [{ cert, key: readFileSync(stranger.key) }, 'tls.key is not the key of tls.cert'],
    [{ cert, key: encrypted(), passphrase: `${secret}` }, 'the passphrase is not that of the key'],
    [{ cert, key, passphrase: secret }, 'tls.passphrase must be text, got a number'],
    [{ cert, key: [{ pem: encrypted(), passphrase: secret }] }, 'tls cannot be used'],
    [{ cert, key: secret }, 'tls cannot be used: The "options.key" property must be of type string'],
    [{ pfx: Buffer.from(`${secret}`), passphrase: `${secret}` }, 'tls cannot be used'],
    [{ servername: secret }, 'tls.servername must be text, got a number'],
    [{ minVersion: 'TLSv9' }, '"TLSv9" is not a valid minimum TLS protocol version'],
    [{ ciphers: 'none of them' }, 'tls cannot be used'],
    [{ checkServerIdentity: 'no' }, 'tls.checkServerIdentity must be a function, got text'],
    [{ lookup: 'dns.google' }, 'tls.lookup must be a function, got text'],
    [{ path: '/run/other.sock' }, 'tls.path cannot be used'],
    [{ socket: {} }, 'tls.socket cannot be used'],
    [{ onread: {} }, 'tls.onread cannot be used'],
    [{ ca: {} }, 'tls cannot be used'],
  ])('that no connection can be made with are refused at once, without their secrets: %#', (tls, message) => {
    const error = ((): unknown => {
      try {
        return new MemcachedClient({ tls })
      } catch (error) {
        return error
      }
    })()
    expect(error).toMatchObject({ code: 'ERR_MEMCACHE_OPTION' })
    expect(String(error)).toContain(message)
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toMatch(/PRIVATE KEY|81.?549.?300/)
  })
})

/** Returns a key that needs a passphrase. */
function encrypted(): string {
  return createPrivateKey(readFileSync(clientFiles.key))
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'another one' })
    .toString()
}
