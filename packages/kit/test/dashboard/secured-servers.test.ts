import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MemcachedServer } from 'memcache-ts-server'
import type { MemcachedServerOptions } from 'memcache-ts-server'
import { TestCertificates } from 'memcache-ts-testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startDashboard } from '../../src/dashboard/index.ts'

let certificates: TestCertificates
let tls: NonNullable<MemcachedServerOptions['tls']>
let passwords: string

beforeAll(() => {
  certificates = new TestCertificates()
  const { cert, key } = certificates.issue('server')
  tls = { chainCertFile: cert, keyFile: key }
  passwords = join(certificates.folder, 'passwords')
  writeFileSync(passwords, 'watcher:secret-word\n')
})
afterAll(() => certificates.dispose())

describe('the dashboard of servers behind TLS and passwords', () => {
  it.each([
    ['text', {}, { authFile: () => passwords }],
    ['binary', { protocol: 'binary' as const }, { saslPasswordFile: () => passwords }],
  ])('watches them with the credentials of the URL: %s', async (_name, client, files) => {
    const auth = Object.fromEntries(Object.entries(files).map(([name, path]) => [name, path()]))
    await using server = new MemcachedServer({ port: 0, tls, ...auth })
    const { port } = await server.listen()
    const ca = readFileSync(certificates.ca.cert)
    await using started = await startDashboard({
      servers: `memcaches://watcher:secret-word@localhost:${port}`,
      client: { ...client, tls: { ca } },
      port: 0,
    })
    const metrics = await (await fetch(new URL('metrics', started.url))).text()
    expect(metrics).toContain('memcached_up 1')
    expect(metrics).not.toContain('secret-word')
    const page = await (await fetch(started.url)).text()
    expect(page).not.toContain('secret-word')
  })

  it('reports why a server with an untrusted certificate is away, without the password', async () => {
    await using server = new MemcachedServer({ port: 0, tls, authFile: passwords })
    const { port } = await server.listen()
    await using started = await startDashboard({
      servers: `memcaches://watcher:secret-word@localhost:${port}`,
      port: 0,
    })
    expect((await fetch(new URL('healthz', started.url))).status).toBe(503)
    const metrics = await (await fetch(new URL('metrics', started.url))).text()
    expect(metrics).toContain('memcached_up 0')
    expect(metrics).not.toContain('secret-word')
  })
})
