import { duplexPair } from 'node:stream'
import { freePort, until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { memcache, MemcacheOptionError } from '../src/index.ts'
import { deferred } from './deferred.ts'
import { openCache } from './open-cache.ts'

describe('get, set, delete', () => {
  it('distinguishes a miss from a stored null', async () => {
    await using test = await openCache()
    expect(await test.cache.get('k')).toBeUndefined()
    expect(await test.cache.set('k', null)).toBe(true)
    expect(await test.cache.get('k')).toBeNull()
    expect(await test.cache.delete('k')).toBe(true)
    expect(await test.cache.get('k')).toBeUndefined()
  })

  it('stores values with their lifetime, 300 seconds by default', async () => {
    await using test = await openCache()
    await test.cache.set('default', 1)
    await test.cache.set('minute', 1, '1m')
    await test.cache.set('forever', 1, Infinity)
    test.clock.advanceSeconds(61)
    expect([...(await test.cache.getMany(['default', 'minute', 'forever'])).keys()]).toEqual(['default', 'forever'])
    test.clock.advanceSeconds(240)
    expect([...(await test.cache.getMany(['default', 'minute', 'forever'])).keys()]).toEqual(['forever'])
  })

  it('accepts any key: a key that memcached refuses is hashed', async () => {
    await using test = await openCache({ prefix: 'shop' })
    const keys = [
      'with space',
      'k'.repeat(300),
      'k'.repeat(301),
      '☂\u0000',
      '',
      ['city', 'Zürich: old'],
      'ü'.repeat(200),
    ]
    for (const [index, key] of keys.entries()) await test.cache.set(key, index)
    for (const [index, key] of keys.entries()) expect(await test.cache.get(key)).toBe(index)
    expect((await test.cache.getMany(keys)).size).toBe(keys.length)
  })

  it('stores empty bytes, which differ from an unfilled lease', async () => {
    await using test = await openCache()
    await test.cache.set('empty', Buffer.alloc(0))
    await test.cache.client.meta.get('leased', { vivifySeconds: 30 })
    expect(await test.cache.get('empty')).toEqual(Buffer.alloc(0))
    expect(await test.cache.get('leased')).toBeUndefined()
    expect([...(await test.cache.getMany(['empty', 'leased'])).keys()]).toEqual(['empty'])
  })

  it('never stores client flags 0', async () => {
    await using test = await openCache()
    for (const value of ['', 'text', 1, null, Buffer.from('b'), new Date(), { a: 1 }]) {
      await test.cache.set('k', value)
      expect((await test.cache.client.meta.get('k'))?.clientFlags).toBeGreaterThan(0)
    }
  })
})

describe('getOrSet', () => {
  it('loads a miss once and finds it from then on', async () => {
    await using test = await openCache()
    let loads = 0
    const load = () => ({ loads: ++loads })
    expect(await test.cache.getOrSet('k', load, 60)).toEqual({ loads: 1 })
    expect(await test.cache.getOrSet('k', load, 60)).toEqual({ loads: 1 })
    expect(test.cache.stats()).toMatchObject({ hits: 1, misses: 1, loads: 1, loadErrors: 0, cacheErrors: 0 })
  })

  it('runs one loader for 100 callers', async () => {
    await using test = await openCache()
    let loads = 0
    const values = await Promise.all(Array.from({ length: 100 }, () => test.cache.getOrSet('k', async () => ++loads)))
    expect(new Set(values)).toEqual(new Set([1]))
    expect(test.cache.stats()).toMatchObject({ loads: 1, coalesced: 99 })
  })

  it('does not let a caller join a load that began before a delete', async () => {
    await using test = await openCache()
    const old = deferred<string>()
    const started = deferred()
    const before = test.cache.getOrSet('k', () => (started.resolve(), old.promise))
    await started.promise
    await test.cache.delete('k')
    expect(await test.cache.getOrSet('k', () => 'new')).toBe('new')
    old.resolve('old')
    expect(await before).toBe('old')
    expect(await test.cache.get('k')).toBe('new')
  })

  it('lets no caller join a load whose value was stored, deleted by another process, and not confirmed yet', async () => {
    await using test = await openCache()
    const [stream] = test.server.servers
    let held: Buffer[] | undefined
    const connect = () => {
      const [near, far] = duplexPair()
      const server = stream!.connect()
      for (const side of [near, far, server]) side.on('error', () => {})
      far.pipe(server)
      server.on('data', (chunk: Buffer) => (held === undefined ? far.write(chunk) : held.push(chunk)))
      const flow = (): void => {
        for (const chunk of held!) far.write(chunk)
        held = undefined
      }
      return Object.assign(near, { flow })
    }
    let connection: ReturnType<typeof connect>
    const servers = [{ name: 'slow', connect: () => (connection = connect()) }]
    const slow = memcache({ servers, clock: test.clock, logger: false, timeoutMs: 5000 })
    const loading = deferred<string>()
    const first = slow.getOrSet('k', () => loading.promise)
    await until(() => slow.stats().loads === 1)
    held = []
    loading.resolve('old')
    await until(async () => (await test.cache.get('k')) === 'old')
    expect(await test.cache.delete('k')).toBe(true)
    const second = slow.getOrSet('k', () => 'new')
    connection!.flow()
    expect([await first, await second]).toEqual(['old', 'new'])
    await slow.close()
  })

  it('runs one loader for callers in several processes: the others wait for its value', async () => {
    await using test = await openCache()
    const other = test.another()
    const value = deferred<string>()
    const first = test.cache.getOrSet('k', () => value.promise)
    const waited = new Promise((resolve) => other.client.once('connect', resolve))
    const second = other.getOrSet('k', () => 'loaded twice')
    await waited
    value.resolve('loaded once')
    expect(await Promise.all([first, second])).toEqual(['loaded once', 'loaded once'])
    expect(other.stats().loads).toBe(0)
  })

  it('takes over when the winner dies and its lease runs out', async () => {
    await using test = await openCache({ leaseSeconds: 5 })
    // A process that took the lease and was killed.
    await test.cache.client.meta.get('k', { vivifySeconds: 5 })
    const value = test.cache.getOrSet('k', () => 'loaded by the next')
    test.clock.advanceSeconds(6)
    expect(await value).toBe('loaded by the next')
    expect(await test.cache.get('k')).toBe('loaded by the next')
  })

  it('rejects all waiting callers with the loader’s error, unchanged, and stores nothing', async () => {
    await using test = await openCache()
    const error = new Error('no database')
    const calls = [1, 2, 3].map(() => test.cache.getOrSet('k', () => Promise.reject(error)))
    for (const call of calls) await expect(call).rejects.toBe(error)
    expect(await test.cache.getOrSet('k', () => 'now')).toBe('now')
    expect(test.cache.stats()).toMatchObject({ loads: 2, loadErrors: 1 })
  })

  it('refuses a value that was loaded before a delete', async () => {
    await using test = await openCache()
    const value = deferred<string>()
    const started = deferred()
    const call = test.cache.getOrSet('k', () => {
      started.resolve()
      return value.promise
    })
    await started.promise
    await test.cache.delete('k')
    value.resolve('old')
    expect(await call).toBe('old')
    expect(await test.cache.get('k')).toBeUndefined()
    expect(test.cache.stats().discarded).toBe(1)
    expect(await test.cache.getOrSet('k', () => 'new')).toBe('new')
  })

  it('caches null, and does not store undefined', async () => {
    await using test = await openCache()
    let loads = 0
    const loadNull = () => (loads++, null)
    expect(await test.cache.getOrSet('null', loadNull)).toBeNull()
    expect(await test.cache.getOrSet('null', loadNull)).toBeNull()
    expect(loads).toBe(1)
    const loadNothing = () => (loads++, undefined)
    expect(await test.cache.getOrSet('nothing', loadNothing)).toBeUndefined()
    expect(await test.cache.getOrSet('nothing', loadNothing)).toBeUndefined()
    expect(loads).toBe(3)
  })

  it('lets the loader set the lifetime, or prevent storing its value', async () => {
    await using test = await openCache()
    await test.cache.getOrSet('short', (context) => (context.setTtlSeconds(1), 'v'), { ttlSeconds: 100, jitter: 0 })
    await test.cache.getOrSet('unstored', (context) => (context.skipStore(), 'v'))
    expect(await test.cache.get('unstored')).toBeUndefined()
    test.clock.advanceSeconds(2)
    expect(await test.cache.get('short')).toBeUndefined()
  })

  it('shortens lifetimes at random, by up to 10 % by default', async () => {
    await using test = await openCache({ loading: { jitter: undefined } })
    const keys = Array.from({ length: 200 }, (_, index) => `k${index}`)
    await Promise.all(keys.map((key) => test.cache.getOrSet(key, () => 1, 1000)))
    const ttls = await Promise.all(keys.map(async (key) => (await test.cache.client.meta.get(key))!.ttlSeconds))
    expect(Math.min(...ttls)).toBeGreaterThanOrEqual(899)
    expect(Math.max(...ttls)).toBeLessThanOrEqual(1000)
    expect(Math.max(...ttls) - Math.min(...ttls)).toBeGreaterThan(50)
    await test.cache.getOrSet('exact', () => 1, { ttlSeconds: 1000, jitter: 0 })
    expect((await test.cache.client.meta.get('exact'))!.ttlSeconds).toBe(1000)
  })

  it('ends one caller’s wait by its signal, and aborts the load when no caller waits', async () => {
    await using test = await openCache()
    const [first, second] = [new AbortController(), new AbortController()]
    const started = deferred<AbortSignal>()
    const load = (context: { signal: AbortSignal }) => {
      started.resolve(context.signal)
      return new Promise<string>((_, reject) => {
        context.signal.addEventListener('abort', () => reject(context.signal.reason as Error))
      })
    }
    const one = test.cache.getOrSet('k', load, { signal: first.signal })
    const two = test.cache.getOrSet('k', load, { signal: second.signal })
    const loadSignal = await started.promise
    first.abort(new Error('first left'))
    await expect(one).rejects.toThrow('first left')
    expect(loadSignal.aborted).toBe(false)
    second.abort(new Error('second left'))
    await expect(two).rejects.toThrow('second left')
    expect(loadSignal.aborted).toBe(true)
    expect(await test.cache.getOrSet('k', () => 'next')).toBe('next')
  })

  it('refuses unknown options with a hint', async () => {
    await using test = await openCache()
    await expect(test.cache.getOrSet('k', () => 1, { ttl: 5 } as never)).rejects.toThrow('`ttl` is `ttlSeconds` here')
    expect(() => memcache({ timeout: 5 } as never)).toThrow('`timeout` is `timeoutMs` here')
    expect(() => memcache({ leaseSeconds: 0 })).toThrow(MemcacheOptionError)
  })

  it('returns a loaded value that cannot be stored, counts and logs it once, and releases the lease', async () => {
    const logged: string[] = []
    const logger = { info: () => {}, warn: (message: string) => void logged.push(message) }
    await using test = await openCache({ logger })
    const value = { call: () => 1 }
    for (const times of [1, 2]) {
      expect(await test.cache.getOrSet('k', () => value)).toBe(value)
      expect(test.cache.stats().cacheErrors).toBe(times)
    }
    expect(logged).toEqual([expect.stringContaining('call is a function')])
    expect(await test.cache.getOrSet('k', () => 'fine')).toBe('fine')
  })
})

describe('without its server', () => {
  it('returns the loader’s value, and logs the outage once', async () => {
    const warnings: string[] = []
    const port = await freePort()
    const logger = { info: () => {}, warn: (message: string) => warnings.push(message) }
    await using cache = memcache({ servers: `127.0.0.1:${port}`, logger })
    expect(await cache.getOrSet('k', () => 'loaded')).toBe('loaded')
    expect(await cache.getOrSet('k', () => 'loaded again')).toBe('loaded again')
    expect(await cache.get('k')).toBeUndefined()
    expect(await cache.set('k', 1)).toBe(false)
    expect(await cache.delete('k')).toBe(false)
    expect((await cache.getMany(['k'])).size).toBe(0)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('continuing without the cache')
    expect(cache.stats().cacheErrors).toBeGreaterThan(4)
  })
})
