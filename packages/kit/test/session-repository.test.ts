import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { MemcachedServer } from 'memcache-ts-server'
import { testMemcache } from 'memcache-ts/testing'
import { describe, expect, it } from 'vitest'
import { memcache, MemcacheOptionError } from '../src/index.ts'
import { SessionRepository } from '../src/session/index.ts'
import { SessionEncryption } from '../src/session/session-encryption.ts'

const GENERATION = 'session::generation'

async function idsOf(sessions: SessionRepository): Promise<string[]> {
  const ids: string[] = []
  for await (const [id] of sessions.entries()) ids.push(id)
  return ids.sort()
}

describe('a session repository', () => {
  it('reads the generation once a second, and once more for a session that is not found', async () => {
    await using test = await testMemcache()
    const { cache, clock, server } = test
    const sessions = new SessionRepository({ cache })
    await sessions.write('a', { n: 1 }, undefined, 600)
    const gets = () => Number(server.memcached.stats()['cmd_get'])
    await sessions.read('a')
    let before = gets()
    await sessions.read('a')
    expect(gets() - before).toBe(1)
    clock.advanceSeconds(2)
    before = gets()
    await sessions.read('a')
    expect(gets() - before).toBe(2)
    before = gets()
    expect(await sessions.read('b')).toBeUndefined()
    expect(gets() - before).toBe(2)
  })

  it('notices within a second that another process has cleared all sessions, even those that it could not delete', async () => {
    await using test = await testMemcache()
    const { cache, clock, server } = test
    const sessions = new SessionRepository({ cache })
    await sessions.write('a', { n: 1 }, undefined, 600)
    const held = await sessions.read('a')
    // As another process on a server that dumps nothing.
    await using other = memcache({ servers: server.servers, logger: false, clock })
    await other.client.set(GENERATION, 'new')
    clock.advanceSeconds(1)
    expect(await sessions.read('a')).toBeUndefined()
    // A request that held it brings nothing back.
    await cache.client.delete('session:a')
    expect(await sessions.write('a', { n: 2 }, held, 600)).toBeUndefined()
    expect(await sessions.read('a')).toBeUndefined()
    await sessions.write('b', { n: 1 }, undefined, 600)
    expect((await new SessionRepository({ cache: other }).read('b'))?.data).toEqual({ n: 1 })
  })

  it('restores a generation that the server lost, so that no user is logged out and no cleared session is valid again', async () => {
    await using test = await testMemcache()
    const { cache, clock } = test
    const sessions = new SessionRepository({ cache })
    await sessions.write('before', { n: 1 }, undefined, 600)
    const stored = await cache.client.get('session:before')
    await sessions.clear()
    await sessions.write('after', { n: 1 }, undefined, 600)
    await cache.client.set('session:before', stored, 600)
    await cache.client.delete(GENERATION)
    clock.advanceSeconds(2)
    expect((await sessions.read('after'))?.data).toEqual({ n: 1 })
    expect(await sessions.read('before')).toBeUndefined()
    expect(await new SessionRepository({ cache }).read('before')).toBeUndefined()
  })

  it('clears and lists all servers, and rejects if a server is away', async () => {
    const servers = [new MemcachedServer({ port: 0 }), new MemcachedServer({ port: 0 })]
    const ports = await Promise.all(servers.map(async (server) => (await server.listen()).port))
    const open = () =>
      memcache({ servers: ports.map((port) => `127.0.0.1:${port}`).join(), logger: false, timeoutMs: 5000 })
    await using cache = open()
    await using another = open()
    const sessions = new SessionRepository({ cache })
    const others = new SessionRepository({ cache: another })
    const ids = Array.from({ length: 40 }, (_, index) => `id-${String(index).padStart(2, '0')}`)
    await Promise.all(ids.map((id) => sessions.write(id, { id }, undefined, 600)))
    expect(servers.every((server) => Number(server.stats()['curr_items']) > 3)).toBe(true)
    expect(await idsOf(others)).toEqual(ids)
    await sessions.clear()
    expect(await idsOf(others)).toEqual([])
    for (const id of ids) expect(await others.read(id)).toBeUndefined()
    await Promise.all(ids.map((id) => others.write(id, { id }, undefined, 600)))
    expect(await idsOf(sessions)).toEqual(ids)
    await servers[1]!.close()
    await expect(idsOf(sessions)).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
    await expect(sessions.clear()).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
    await servers[0]!.close()
  })

  it('clears only by the generation if a server does not dump', async () => {
    await using server = new MemcachedServer({ port: 0, disableDumping: true })
    const { port } = await server.listen()
    await using cache = memcache({ servers: `127.0.0.1:${port}`, logger: false })
    const sessions = new SessionRepository({ cache })
    await sessions.write('a', { n: 1 }, undefined, 600)
    await sessions.clear()
    expect(await sessions.read('a')).toBeUndefined()
    expect(await cache.client.get('session:a')).toEqual({ n: 1 })
    await expect(idsOf(sessions)).rejects.toMatchObject({ code: 'ERR_MEMCACHE_SERVER' })
  })

  it.each([
    ['plain', {}],
    ['in a cache that compresses', { compression: { overBytes: 20 } }],
  ])('stores JSON that any program can read, whatever it looks like: %s', async (_, options) => {
    await using test = await testMemcache(options)
    const sessions = new SessionRepository({ cache: test.cache })
    const values = [
      {},
      { $: ['date', 'x'] },
      { text: 'x', bytes: 1 },
      { long: 'y'.repeat(3000) },
      { odd: '\ud800\u2028' },
    ]
    for (const [index, value] of values.entries()) {
      await sessions.write(`s${index}`, value, undefined, 600)
      expect((await sessions.read(`s${index}`))?.data).toEqual(value)
      expect(await test.cache.client.get(`session:s${index}`)).toEqual(value)
    }
    let deep: object = {}
    for (let depth = 0; depth < 1200; depth++) deep = { deep }
    await expect(sessions.write('deep', deep, undefined, 600)).rejects.toBeInstanceOf(MemcacheOptionError)
  })

  it('gives up after many tries, with an error that can be retried', async () => {
    await using test = await testMemcache()
    const sessions = new SessionRepository({ cache: test.cache })
    await sessions.write('a', { n: 1 }, undefined, 600)
    const base = (await sessions.read('a'))!
    let tries = 0
    const disturb = (): number => {
      tries++
      void test.cache.client.set('session:a', { n: tries }, 600)
      return 600
    }
    await expect(sessions.write('a', { m: 1 }, base, disturb)).rejects.toMatchObject({ retryable: true })
    expect(tries).toBeGreaterThan(64)
  })

  it.each([1, 4])('loses none of 1000 writes by 50 writers, in %i processes', async (processes) => {
    await using test = await testMemcache()
    const caches = Array.from({ length: processes }, () =>
      memcache({ servers: test.server.servers, logger: false, clock: test.clock, timeoutMs: 10_000 }),
    )
    const repositories = caches.map((cache) => new SessionRepository({ cache }))
    await repositories[0]!.write('a', { counts: {} }, undefined, 600)
    await Promise.all(
      Array.from({ length: 50 }, async (_, writer) => {
        const sessions = repositories[writer % processes]!
        for (let n = 1; n <= 20; n++) {
          const found = (await sessions.read('a'))!
          const counts = { ...(found.data['counts'] as object), [writer]: n }
          await sessions.write('a', { ...found.data, counts }, found, 600)
        }
      }),
    )
    const { data } = (await repositories[0]!.read('a'))!
    expect(data['counts']).toEqual(Object.fromEntries(Array.from({ length: 50 }, (_, writer) => [writer, 20])))
    await Promise.all(caches.map(async (cache) => cache.close()))
  })

  it('keeps a destroyed session destroyed, after any reads and writes, and with any lifetime', async () => {
    const step = fc.record({ afterSeconds: fc.integer({ min: 0, max: 400 }), kind: fc.constantFrom('read', 'write') })
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(5, 60, 3600), fc.array(step, { maxLength: 8 }), async (ttl, steps) => {
        await using test = await testMemcache()
        const { cache, clock } = test
        const sessions = new SessionRepository({ cache })
        await sessions.write('a', { n: 1 }, undefined, ttl)
        const base = await sessions.read('a', ttl)
        await sessions.destroy('a')
        for (const { afterSeconds, kind } of steps) {
          clock.advanceSeconds(afterSeconds)
          if (kind === 'write') await sessions.write('a', { n: 2 }, base, ttl)
          expect(await sessions.read('a', ttl)).toBeUndefined()
        }
      }),
    )
  })

  it('forgets ended sessions of a user, and reads each about twice, with any number of sessions', async () => {
    await using test = await testMemcache()
    const sessions = new SessionRepository({ cache: test.cache })
    const gets = () => Number(test.server.memcached.stats()['cmd_get'])
    const before = gets()
    for (let n = 0; n < 200; n++) {
      // The sessions of ids that were added in the last minutes may still be on their way.
      if (n === 100) test.clock.advanceSeconds(601)
      if (n >= 100) await sessions.write(`living${n}`, { n }, undefined, 3600)
      await sessions.index.add('ann', `${n < 100 ? 'ended' : 'living'}${n}`)
    }
    // Each id needs one look at the list, and a missing session one at the generation.
    expect(gets() - before).toBeLessThan(200 * 5)
    const ids = await sessions.index.idsOf('ann')
    expect(ids.filter((id) => id.startsWith('living'))).toHaveLength(100)
    expect(ids.filter((id) => id.startsWith('ended')).length).toBeLessThan(30)
  })

  it('writes the list of a user a few times for many sessions that begin at once', async () => {
    await using test = await testMemcache()
    const sessions = new SessionRepository({ cache: test.cache })
    const ids = Array.from({ length: 500 }, (_, n) => `id${n}`)
    await Promise.all(ids.map((id) => sessions.index.add('ann', id)))
    expect(await sessions.index.idsOf('ann')).toEqual(ids)
    expect(Number(test.server.memcached.stats()['cmd_set'])).toBeLessThan(5)
  })

  it('keeps an id in the list of its user while its session is being stored', async () => {
    await using test = await testMemcache()
    const sessions = new SessionRepository({ cache: test.cache })
    await sessions.index.add('ann', 'a')
    await sessions.index.forget('ann', new Set(['a']))
    expect(await sessions.index.idsOf('ann')).toEqual(['a'])
    test.clock.advanceSeconds(601)
    // A session that comes to its user again is on its way again.
    await sessions.index.add('ann', 'a')
    await sessions.index.forget('ann', new Set(['a']))
    expect(await sessions.index.idsOf('ann')).toEqual(['a'])
    test.clock.advanceSeconds(601)
    await sessions.index.forget('ann', new Set(['a']))
    expect(await sessions.index.idsOf('ann')).toEqual([])
    // As earlier versions stored a list.
    await test.cache.client.set('session::index:bob', ['b'], 600)
    expect(await sessions.index.idsOf('bob')).toEqual(['b'])
  })

  it('treats a stored value that is not a session as no session, with one warning', async () => {
    const warned: string[] = []
    await using test = await testMemcache({ logger: { info: () => {}, warn: (message) => void warned.push(message) } })
    const sessions = new SessionRepository({ cache: test.cache })
    for (const value of ['text', 5, [1], null, Buffer.from('{}'), true]) {
      await test.cache.client.set('session:a', value, 600)
      expect(await sessions.read('a')).toBeUndefined()
    }
    expect(warned).toEqual([expect.stringContaining('a stored session cannot be read')])
  })
})

describe('the encryption of sessions', () => {
  it('encrypts to a different text each time, which only its name and key decrypt', () => {
    const [one, other] = [new SessionEncryption([randomBytes(32)]), new SessionEncryption(['x'.repeat(32)])]
    const plain = Buffer.from('swordfish')
    const [first, second] = [one.seal('a', plain), one.seal('a', plain)]
    expect(first.equals(second)).toBe(false)
    expect(one.open('a', first)?.toString()).toBe('swordfish')
    expect(one.open('b', first)).toBeUndefined()
    expect(other.open('a', first)).toBeUndefined()
    expect(one.open('a', Buffer.alloc(0))).toBeUndefined()
    expect(one.seal('a', Buffer.alloc(0)).length).toBe(first.length - plain.length)
  })

  it.each([[['short']], [[new Uint8Array(31)]], [[undefined as never]]])('refuses the keys %j', (keys) => {
    expect(() => new SessionEncryption(keys)).toThrow(MemcacheOptionError)
  })
})
