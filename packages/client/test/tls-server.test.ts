import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
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

  it('ask each other for certificates', async () => {
    const { server, address } = await serve({ ...tls, verifyMode: 'require' })
    await using _ = server
    const options: MemcachedClientOptions = { servers: address, timeoutMs: 5000, connectTimeoutMs: 5000 }
    await using good = new MemcachedClient({ ...options, tls: { ca, ...pair(clientFiles) } })
    await good.set('a', 1)
    expect(await good.get('a')).toBe(1)
    for (const wrong of [{ ca }, { ca, ...pair(stranger) }, { ...pair(clientFiles) }]) {
      await using bad = new MemcachedClient({ ...options, tls: wrong })
      await expect(bad.get('a')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
    }
    expect(await good.get('a')).toBe(1)
  })

  it('say so if only one of them speaks TLS', async () => {
    const { server, address } = await serve()
    await using _ = server
    await using plainServer = new MemcachedServer({ port: 0 })
    const { port } = await plainServer.listen()
    await using overTls = new MemcachedClient({ servers: `127.0.0.1:${port}`, tls: { ca }, timeoutMs: 20_000 })
    await expect(overTls.get('a')).rejects.toThrow('it does not speak TLS: leave tls out, or use its TLS port')
    await using plain = new MemcachedClient({ servers: address, timeoutMs: 20_000 })
    await expect(plain.get('a')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION', server: address })
  })

  it('go on while certificates are replaced', async () => {
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
