import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { MemcachedServer } from 'memcache-ts-server'
import {
  describeWithCommand,
  describeWithMemcached,
  launchAuthMemcached,
  launchMemcached,
  launchSaslMemcached,
} from 'memcache-ts-testing'
import { expect, it } from 'vitest'
import {
  MemcacheAuthError,
  MemcachedClient,
  MemcacheOptionError,
  MemcacheTimeoutError,
  MemcacheUnsupportedError,
} from '../src/index.ts'
import { describeClient } from './client-contract.ts'

const username = 'ann'
const password = 'p@ss:w/rd%'

describeWithCommand(['sh', '-c', 'command -v saslpasswd2'], 'sasl2-bin', 'SASL (-S)', () => {
  describeClient(async () => {
    const server = await launchSaslMemcached(username, password)
    return { options: { servers: server.address, username, password }, stop: () => server.kill() }
  })

  it('takes the credentials of a URL, and says what is missing without meta commands', async () => {
    await using server = await launchSaslMemcached(username, password)
    const user = `${username}:${encodeURIComponent(password)}`
    await using client = new MemcachedClient({ servers: `memcache://${user}@${server.address}`, timeoutMs: 5000 })
    await client.set('k', 'v')
    expect(await client.get('k')).toBe('v')
    await expect(client.meta.get('k', { vivifySeconds: 5 })).rejects.toThrow(MemcacheUnsupportedError)
    await expect(client.meta.debug('k')).rejects.toThrow(MemcacheUnsupportedError)
    const [stats] = (await client.stats()).values()
    expect(stats!.cmd_set).toBe(1)
  })

  it('takes credentials that are shorter than a header of the binary protocol', async () => {
    await using server = await launchSaslMemcached('u', 'p')
    await using client = new MemcachedClient({ servers: server.address, username: 'u', password: 'p', timeoutMs: 5000 })
    await client.set('k', 'v')
    expect(await client.get('k')).toBe('v')
  })

  it('says so when the credentials are refused, at once and again', async () => {
    await using server = await launchSaslMemcached(username, password)
    await using client = new MemcachedClient({ servers: server.address, username, password: 'wrong', timeoutMs: 5000 })
    await expect(client.get('k')).rejects.toThrow(MemcacheAuthError)
    await expect(client.set('k', 1)).rejects.toMatchObject({ code: 'ERR_MEMCACHE_AUTH', server: server.address })
  })
})

describeWithMemcached('text authentication (-Y)', () => {
  describeClient(async () => {
    const server = await launchAuthMemcached('ann', 'secret')
    return { options: { servers: server.address, username: 'ann', password: 'secret' }, stop: () => server.kill() }
  })

  it('takes the shortest credentials', async () => {
    await using server = await launchAuthMemcached('u', 'p')
    await using client = new MemcachedClient({ servers: server.address, username: 'u', password: 'p', timeoutMs: 5000 })
    await client.set('k', 'v')
    expect(await client.get('k')).toBe('v')
  })

  it('has the meta commands', async () => {
    await using server = await launchAuthMemcached('ann', 'secret')
    await using client = new MemcachedClient({ servers: server.address, username: 'ann', password: 'secret' })
    expect(await client.meta.get('k', { vivifySeconds: 5 })).toMatchObject({ won: true })
  })

  it('says so when the credentials are wrong, or missing', async () => {
    await using server = await launchAuthMemcached('ann', 'secret')
    await using wrong = new MemcachedClient({ servers: server.address, username: 'ann', password: 'wrong' })
    await expect(wrong.get('k')).rejects.toThrow(`${server.address} refused the username and password`)
    await using missing = new MemcachedClient(server.address)
    await expect(missing.get('k')).rejects.toThrow('wants credentials: give username and password')
    await expect(missing.get('k')).rejects.toThrow(MemcacheAuthError)
  })

  it('leaves nothing of the credentials on a server that asks for none', async () => {
    await using server = await launchMemcached()
    await using client = new MemcachedClient({ servers: server.address, username: 'ann', password: 'secret' })
    await client.set('k', 'v')
    expect(await client.get('k')).toBe('v')
    expect(await client.get('auth')).toBeUndefined()
  })
})

it('gives up on a server that never answers the credentials', async () => {
  const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as AddressInfo
  const options = { servers: `127.0.0.1:${port}`, username: 'ann', password: 'secret', timeoutMs: 50 }
  await using text = new MemcachedClient(options)
  await expect(text.get('k')).rejects.toThrow(MemcacheTimeoutError)
  await using sasl = new MemcachedClient({ ...options, protocol: 'binary' })
  await expect(sasl.get('k')).rejects.toThrow(MemcacheTimeoutError)
  silent.close()
})

it.each<[string, (text: string) => string]>([
  ['says it back', (text) => text],
  ['says it back in an error', (text) => `SERVER_ERROR ${text.replaceAll(/\s+/g, ' ')}\r\n`],
  ['says it back after a good answer', (text) => `STORED\r\nVERSION 1.6.45\r\n${text}`],
])('a server that %s does not make the client show the password', async (_, answer) => {
  const echo = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => socket.write(answer(chunk.toString('latin1')), 'latin1'))
  }).listen(0, '127.0.0.1')
  await once(echo, 'listening')
  const { port } = echo.address() as AddressInfo
  for (const protocol of ['auto', 'text', 'binary'] as const) {
    const client = new MemcachedClient({
      servers: `127.0.0.1:${port}`,
      username: 'ann',
      password: 's3cr3t',
      timeoutMs: 200,
      connectTimeoutMs: 200,
      protocol,
    })
    const told: unknown[] = []
    client.on('disconnect', (...args: unknown[]) => told.push(args))
    client.on('eject', (...args: unknown[]) => told.push(args))
    for (const call of [client.get('k'), client.set('k', 1)]) told.push(await call.catch((error: unknown) => error))
    expect(inspect(told, { depth: Infinity, showHidden: true })).not.toContain('s3cr3t')
    await client.close()
  }
  echo.close()
})

it('refuses a username without a password', () => {
  expect(() => new MemcachedClient({ username: 'ann' })).toThrow(MemcacheOptionError)
  expect(() => new MemcachedClient({ password: 'secret' })).toThrow('password is given alone: give both')
})

it('leaves nothing of the credentials on our server', async () => {
  await using server = new MemcachedServer({ port: 0 })
  const { port } = await server.listen()
  await using client = new MemcachedClient({ servers: `127.0.0.1:${port}`, username: 'ann', password: 'secret' })
  expect(await client.get('auth')).toBeUndefined()
})
