import { MemcachedServer } from 'memcache-ts-server'
import { freePort } from 'memcache-ts-testing'
import { afterAll, beforeAll, beforeEach, describe, expect, expectTypeOf, it } from 'vitest'
import { Memcached } from '../src/compat/memcached.ts'
import { Client } from '../src/compat/memjs.ts'

const server = new MemcachedServer({ port: 0 })
let address: string
beforeAll(async () => {
  address = `127.0.0.1:${(await server.listen()).port}`
})
afterAll(() => server.close())

describe('memjs', () => {
  let mc: Client
  beforeAll(() => {
    mc = Client.create(address, { expires: 600 })
  })
  beforeEach(() => mc.flush())
  afterAll(() => mc.close())

  it('has promises', async () => {
    expect(await mc.get('hello')).toEqual({ value: null, flags: null })
    expect(await mc.set('hello', 'world', { expires: 60 })).toBe(true)
    expect(await mc.get('hello')).toEqual({ value: Buffer.from('world'), flags: Buffer.alloc(4) })
    expectTypeOf(mc.get('hello')).resolves.toEqualTypeOf<{ value: Buffer | null; flags: Buffer | null }>()
    expect(await mc.add('hello', 'again')).toBe(false)
    expect(await mc.replace('hello', Buffer.from('there'))).toBe(true)
    expect(await mc.append('hello', '!')).toBe(true)
    expect(await mc.prepend('hello', '¡')).toBe(true)
    expect(String((await mc.get('hello')).value)).toBe('¡there!')
    expect(await mc.touch('hello', 0)).toBe(true)
    expect(await mc.delete('hello')).toBe(true)
    expect(await mc.delete('hello')).toBe(false)
    expect(await mc.replace('hello', 'x')).toBe(false)
    expect(await mc.increment('n', 5, { initial: 10 })).toEqual({ success: true, value: 10 })
    expect(await mc.increment('n', 5)).toEqual({ success: true, value: 15 })
    expect(await mc.decrement('n', 100)).toEqual({ success: true, value: 0 })
    expect(await mc.flush()).toEqual({ [address]: true })
  })

  it('has callbacks', async () => {
    const got = await new Promise((resolve) =>
      mc.set('k', 'v', {}, (error, stored) =>
        mc.get('k', (_, value, flags) => resolve([error, stored, String(value), flags?.length])),
      ),
    )
    expect(got).toEqual([null, true, 'v', 4])
    const missed = await new Promise((resolve) => mc.get('none', (...results) => resolve(results)))
    expect(missed).toEqual([null, null, null])
    const counted = await new Promise((resolve) =>
      mc.increment('n', 1, { initial: 7 }, (...results) => resolve(results)),
    )
    expect(counted).toEqual([null, true, 7])
    const stats = await new Promise<[string, string]>((resolve) =>
      mc.stats((_, name, values) => resolve([name, values!['curr_items']!])),
    )
    expect(stats).toEqual([address, '2'])
  })

  it('tells errors that memjs would swallow', async () => {
    const away = Client.create(`127.0.0.1:${await freePort()}`)
    await expect(away.get('k')).rejects.toThrow('ECONNREFUSED')
    const error = await new Promise((resolve) => away.set('k', 'v', {}, resolve))
    expect(error).toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
    away.quit()
    expect(() => Client.create(address, { serializer: {} } as never)).toThrow('`values` of a MemcachedClient')
  })

  it('reads credentials from the servers', () => {
    expect(Client.create('me:secret@a:1,b').client.servers).toEqual(['a:1', 'b:11211'])
  })
})

describe('memcached', () => {
  let memcached: Memcached
  beforeAll(() => {
    memcached = new Memcached({ [address]: 1 }, { namespace: 'ns:', timeout: 2000 })
  })
  beforeEach(async () => {
    await memcached.flush()
  })
  afterAll(() => memcached.end())

  /** What a callback is called with. */
  const called = <Result>(call: (callback: (error: Error | undefined, result: Result) => void) => unknown) =>
    new Promise<unknown[]>((resolve) => call((...results) => resolve(results)))

  it('has its callbacks, values and answers', async () => {
    expect(await called((done) => memcached.get('k', done))).toEqual([undefined, undefined])
    expect(await called((done) => memcached.set('k', { a: [1] }, 60, done))).toEqual([undefined, true])
    expect(await called((done) => memcached.get('k', done))).toEqual([undefined, { a: [1] }])
    expect(await called((done) => memcached.add('k', 1, 60, done))).toMatchObject([
      { message: 'Item is not stored' },
      undefined,
    ])
    expect(await called((done) => memcached.replace('none', 1, 60, done))).toMatchObject([
      { message: 'Item is not stored' },
      undefined,
    ])
    await memcached.set('n', 5, 0)
    expect(await called((done) => memcached.getMulti(['k', 'n', 'none'], done))).toEqual([
      undefined,
      { k: { a: [1] }, n: 5 },
    ])
    expect(await called((done) => memcached.incr('n', 2, done))).toEqual([undefined, 7])
    expect(await called((done) => memcached.incr('none', 2, done))).toEqual([undefined, false])
    expect(await called((done) => memcached.touch('n', 60, done))).toEqual([undefined, true])
    const [, item] = (await called((done) => memcached.gets('n', done))) as [undefined, { n: number; cas: string }]
    expect(item.n).toBe(7)
    expect(await called((done) => memcached.cas('n', 8, item.cas, 60, done))).toEqual([undefined, true])
    expect(await called((done) => memcached.cas('n', 9, item.cas, 60, done))).toEqual([undefined, false])
    expect(await called((done) => memcached.del('n', done))).toEqual([undefined, true])
    expect(await called((done) => memcached.delete('n', done))).toEqual([undefined, false])
    await memcached.set('text', 'b', 60)
    expect(await memcached.append('text', 'c')).toBe(true)
    expect(await memcached.prepend('text', 'a')).toBe(true)
    expect(await memcached.get('text')).toBe('abc')
    expect(await memcached.get(['text'])).toEqual({ text: 'abc' })
    expect(await memcached.version()).toEqual([{ server: address, version: expect.any(String) }])
    expect(await memcached.stats()).toMatchObject([{ server: address, curr_items: 2 }])
    expect(await memcached.decr('none', 1)).toBe(false)
    expect(await memcached.flushAll()).toEqual([true])
  })

  it('settles where memcached hangs, and refuses what it has no use for', async () => {
    const away = new Memcached(`127.0.0.1:${await freePort()}`)
    expect(await called((done) => away.get('k', done))).toMatchObject([{ code: 'ERR_MEMCACHE_CONNECTION' }, undefined])
    away.end()
    expect(() => new Memcached(address, { retires: 1 } as never)).toThrow('`retires` is `retries` here')
    await expect(memcached.set('k', 'x'.repeat(2_000_000), 60)).rejects.toThrow('more than maxValue')
    const long = 'k'.repeat(300)
    await memcached.set(long, 1, 60)
    expect(await memcached.get(long)).toBe(1)
  })
})
