import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { MemcachedServer } from 'memcache-ts-server'
import { expect, it } from 'vitest'
import { MemcachedClient, MemcacheUnsupportedError } from '../src/index.ts'

it('a client of hosted servers rejects the commands that they do not have, without sending them', async () => {
  await using server = new MemcachedServer()
  const asked: string[] = []
  const listener = createServer((socket) => {
    socket.on('data', (chunk) => asked.push(chunk.toString('latin1')))
    server.handle(socket)
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  await using client = new MemcachedClient({ servers: `127.0.0.1:${port}`, profile: 'hosted', timeoutMs: 5000 })
  await client.set('k', 'v')
  await expect(client.meta.debug('k')).rejects.toThrow("profile: 'hosted'")
  await expect(client.metadump(() => {})).rejects.toThrow(MemcacheUnsupportedError)
  expect(await client.get('k')).toBe('v')
  expect(await client.meta.get('k')).toMatchObject({ value: 'v' })
  expect(asked.join('')).not.toMatch(/^(me|lru_crawler|watch) /m)
  await client.close()
  listener.close()
})

it('no line of a get is longer than 16 kB', async () => {
  await using server = new MemcachedServer()
  let longest = 0
  const listener = createServer((socket) => {
    let held = ''
    socket.on('data', (chunk) => {
      const lines = (held + chunk.toString('latin1')).split('\r\n')
      held = lines.pop()!
      longest = Math.max(longest, ...lines.map((line) => line.length))
    })
    server.handle(socket)
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  for (const protocol of ['meta', 'text'] as const) {
    await using client = new MemcachedClient({ servers: `127.0.0.1:${port}`, protocol, timeoutMs: 5000 })
    const keys = Array.from({ length: 1000 }, (_, index) => `${'ü'.repeat(122)}${1000 + index}`)
    await Promise.all(keys.map((key, index) => client.set(key, index)))
    longest = 0
    expect((await client.getMulti(keys)).size).toBe(1000)
    expect(longest).toBeGreaterThan(1000)
    expect(longest).toBeLessThanOrEqual(16_000)
  }
  listener.close()
})
