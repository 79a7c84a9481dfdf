import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { MemcachedServer } from 'memcache-ts-server'
import {
  describeWithCommand,
  describeWithMemcached,
  FaultProxy,
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
const SECRET = 's3cr3t"pä55'

describeWithCommand(
  { command: ['sh', '-c', 'command -v saslpasswd2'], debianPackage: 'sasl2-bin' },
  'SASL (-S)',
  () => {
    describeClient(async () => {
      const server = await launchSaslMemcached(username, password)
      return { options: { servers: server.address, username, password }, stop: () => server.kill() }
    })

    it('takes the credentials of a URL, and reports what is missing without meta commands', async () => {
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
      await using client = new MemcachedClient({
        servers: server.address,
        username: 'u',
        password: 'p',
        timeoutMs: 5000,
      })
      await client.set('k', 'v')
      expect(await client.get('k')).toBe('v')
    })

    it('is found again after the network failed during its request', async () => {
      await using server = await launchSaslMemcached(username, password)
      await comesBack(server, { username, password })
    })

    it('reports refused credentials, immediately and repeatedly', async () => {
      await using server = await launchSaslMemcached(username, password)
      await using client = new MemcachedClient({
        servers: server.address,
        username,
        password: 'wrong',
        timeoutMs: 5000,
      })
      await expect(client.get('k')).rejects.toThrow(MemcacheAuthError)
      await expect(client.set('k', 1)).rejects.toMatchObject({ code: 'ERR_MEMCACHE_AUTH', server: server.address })
    })
  },
)

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
    await using client = new MemcachedClient({
      servers: server.address,
      username: 'ann',
      password: 'secret',
      timeoutMs: 20_000,
    })
    expect(await client.meta.get('k', { vivifySeconds: 5 })).toMatchObject({ won: true })
  })

  it('reports wrong or missing credentials', async () => {
    await using server = await launchAuthMemcached('ann', 'secret')
    await using wrong = new MemcachedClient({
      servers: server.address,
      username: 'ann',
      password: 'wrong',
      timeoutMs: 20_000,
    })
    await expect(wrong.get('k')).rejects.toThrow(`${server.address} refused the username and password`)
    await using missing = new MemcachedClient({ servers: server.address, timeoutMs: 20_000 })
    await expect(missing.get('k')).rejects.toThrow('requires credentials: set username and password')
    await expect(missing.get('k')).rejects.toThrow(MemcacheAuthError)
  })

  it.each(['auto', 'text', 'meta', 'binary'] as const)(
    'leaves nothing of the credentials on a server that asks for none (%s)',
    async (protocol) => {
      await using server = await launchMemcached()
      const options = { servers: server.address, username: 'ann', password: 'secret', protocol }
      await using client = new MemcachedClient({ ...options, timeoutMs: 5000 })
      await client.set('k', 'v')
      expect(await client.get('k')).toBe('v')
      expect(await client.get('auth')).toBeUndefined()
    },
  )

  it('is found again after the network failed during its request, with and without text authentication', async () => {
    const credentials = { username: 'ann', password: 'secret' }
    await using server = await launchAuthMemcached('ann', 'secret')
    await comesBack(server, credentials)
    await using open = await launchMemcached()
    await comesBack(open, credentials)
    await using ours = new MemcachedServer({ port: 0 })
    await comesBack(await ours.listen(), credentials)
  })

  it('reports refused credentials, with any characters in the password', async () => {
    await using server = await launchAuthMemcached('ann', 'secret')
    for (const letters of ['e', 'authentication failure', 'ä', '']) {
      await using wrong = new MemcachedClient({
        servers: server.address,
        username: 'ann',
        password: letters,
        timeoutMs: 20_000,
      })
      await expect(wrong.get('k')).rejects.toMatchObject({
        code: 'ERR_MEMCACHE_AUTH',
        message: expect.not.stringContaining('***'),
      })
    }
  })

  it('never sends a name that would be read as another one', async () => {
    await using server = await launchAuthMemcached('ann', 'secret')
    await using client = new MemcachedClient({
      servers: server.address,
      username: 'ann secret',
      password: 'x',
      timeoutMs: 20_000,
    })
    await expect(client.get('k')).rejects.toThrow('text authentication ends a username at its first space')
  })
})

/** A closed connection does not show how a server takes credentials, even if it is the first event of a client. */
async function comesBack(
  server: { readonly host: string; readonly port: number },
  credentials: { readonly username: string; readonly password: string },
): Promise<void> {
  for (const kind of ['closeOnConnect', 'closeOnRequest'] as const) {
    for (const failing of [1, 2]) {
      await using proxy = await FaultProxy.start(server)
      proxy.faultOf = (connection) => (connection <= failing ? { kind } : undefined)
      const limits = { timeoutMs: 500, connectTimeoutMs: 100, poolSize: 1 }
      await using client = new MemcachedClient({ servers: proxy.address, ...credentials, ...limits })
      await expect.poll(() => client.set('k', kind).catch((error: unknown) => error)).toBeUndefined()
      proxy.cutAll()
      await expect.poll(() => client.get('k').catch((error: unknown) => error)).toBe(kind)
    }
  }
}

it('treats a server that requires more than PLAIN like one that refuses the credentials', async () => {
  let handshakes = 0
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (request) => {
      handshakes++
      const response = Buffer.alloc(24)
      request.copy(response, 0, 0, 24)
      response[0] = 0x81
      response.fill(0, 2, 12)
      response.writeUInt16BE(0x21, 6)
      socket.write(response)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const credentials = { username: 'ann', password: 'secret' }
  await using client = new MemcachedClient({
    servers: `127.0.0.1:${port}`,
    protocol: 'binary',
    poolSize: 1,
    ...credentials,
  })
  await expect(client.get('k')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_AUTH' })
  await expect(client.get('k')).rejects.toThrow('does not support SASL PLAIN')
  expect(handshakes).toBe(1)
  server.close()
})

it('times out on a server that never responds to the credentials', async () => {
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
  ['says it in base64', () => `SERVER_ERROR ${Buffer.from(SECRET).toString('base64')}\r\n`],
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
      password: SECRET,
      timeoutMs: 200,
      connectTimeoutMs: 200,
      protocol,
    })
    const told: unknown[] = []
    client.on('disconnect', (...args: unknown[]) => told.push(args))
    client.on('eject', (...args: unknown[]) => told.push(args))
    for (const call of [client.get('k'), client.set('k', 1)]) told.push(await call.catch((error: unknown) => error))
    const shown = inspect(told, { depth: Infinity, showHidden: true })
    expect(shown).not.toMatch(/s3cr3t|p.{1,2}55/)
    expect(shown).not.toContain(Buffer.from(SECRET).toString('base64'))
    await client.close()
  }
  echo.close()
})

it('refuses a username without a password', () => {
  expect(() => new MemcachedClient({ username: 'ann' })).toThrow(MemcacheOptionError)
  expect(() => new MemcachedClient({ password: 'secret' })).toThrow(
    'password is set alone: set both username and password',
  )
})

it.each(['a\0b', '\ud800'])('refuses credentials that cannot be sent as they are: %j', (text) => {
  expect(() => new MemcachedClient({ username: text, password: 'secret' })).toThrow('username must ')
  expect(() => new MemcachedClient({ username: 'ann', password: text })).toThrow('password must ')
})

it('stores no credentials on our server', async () => {
  await using server = new MemcachedServer({ port: 0 })
  const { port } = await server.listen()
  await using client = new MemcachedClient({
    servers: `127.0.0.1:${port}`,
    username: 'ann',
    password: 'secret',
    timeoutMs: 20_000,
  })
  expect(await client.get('auth')).toBeUndefined()
})
