import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  MemcachedClient,
  MemcacheError,
  MemcacheKeyError,
  MemcacheOptionError,
  MemcacheServerError,
  MemcacheTooLargeError,
} from '../src/index.ts'
import type { MemcachedClientOptions } from '../src/index.ts'

/** A server that a test has started, and how to be its client. */
export interface OpenedServer {
  readonly options: MemcachedClientOptions
  readonly stop: () => Promise<void>
  /** Empties it, where the client cannot. */
  readonly empty?: () => Promise<void>
}

/** Starts a server for a suite; returns its client, which finds it empty in every test. */
function useClient(open: () => Promise<OpenedServer>): () => MemcachedClient {
  let client: MemcachedClient
  let stop: () => Promise<void>
  let empty: () => Promise<void>
  beforeAll(async () => {
    const opened = await open()
    stop = opened.stop
    empty = opened.empty ?? (() => client.flushAll())
    client = new MemcachedClient({ timeoutMs: 5000, connectTimeoutMs: 5000, ...opened.options })
  })
  afterAll(async () => {
    await client.close()
    await stop()
  })
  beforeEach(() => empty())
  return () => client
}

/**
 * The contract of a client on every server, in every protocol.
 *
 * @param cannot the tests that a server or proxy cannot pass, by name, and why.
 */
export function describeClient(open: () => Promise<OpenedServer>, cannot: Readonly<Record<string, string>> = {}): void {
  /** A test, which has to fail where the server cannot do what it is about: once it can, the table is wrong. */
  const test = (name: string, body: () => Promise<void>): void => {
    const reason = cannot[name]
    if (reason === undefined) it(name, body)
    else it.fails(`${name} [it cannot: ${reason}]`, body)
  }

  describe('a client', () => {
    const opened = useClient(open)
    let client: MemcachedClient
    beforeEach(() => {
      client = opened()
    })

    test('misses with undefined and finds a stored null', async () => {
      expect(await client.get('nothing')).toBeUndefined()
      await client.set('null', null)
      expect(await client.get('null')).toBeNull()
    })

    it.each([
      ['a string', 'Zürich ☂'],
      ['an empty string', ''],
      ['a string with line ends and words of the protocol', 'a\r\nEND\r\nVALUE x 0 1\r\n'],
      ['a number', 1.5],
      ['negative zero', -0],
      ['NaN', NaN],
      ['false', false],
      ['an object', { a: [1, 'two', null], b: { c: true } }],
      ['a date', new Date('2026-01-02T03:04:05.678Z')],
      ['a map in a set', new Set([new Map([[{ k: 1 }, 2n]])])],
      ['a bigint', 2n ** 70n],
      ['undefined inside', { a: undefined, b: [undefined] }],
      ['bytes', Buffer.from([0, 13, 10, 255])],
      ['no bytes', Buffer.alloc(0)],
      ['a typed array', new Float64Array([1.5, -0, Infinity])],
      ['an object that looks like a tag', { $: ['date', 'x'] }],
    ])('gives %s back as it went in', async (_, value) => {
      await client.set('value', value, 60)
      expect(await client.get('value')).toStrictEqual(value)
      expect((await client.getMulti(['value'])).get('value')).toStrictEqual(value)
    })

    test('stores strings and JSON as other languages read them', async () => {
      await client.set('s', 'text')
      await client.set('j', { a: 1 })
      expect((await client.gets('s'))?.clientFlags).toBe(1)
      expect((await client.gets('j'))?.clientFlags).toBe(2)
    })

    it.each([1, 15_000, 70_000, 500_000, 1_000_000])('carries a value of %d bytes', async (length) => {
      const value = randomBytes(length)
      await client.set('big', value)
      const [one, two, multi] = await Promise.all([client.get('big'), client.get('big'), client.getMulti(['big'])])
      expect(value.equals(one as Buffer)).toBe(true)
      expect(value.equals(two as Buffer)).toBe(true)
      expect(value.equals(multi.get('big') as Buffer)).toBe(true)
    })

    test('adds, replaces, appends and prepends as memcached does', async () => {
      expect(await client.replace('k', 'x')).toBe(false)
      expect(await client.append('k', 'x')).toBe(false)
      expect(await client.add('k', 'b')).toBe(true)
      expect(await client.add('k', 'z')).toBe(false)
      expect(await client.append('k', 'c')).toBe(true)
      expect(await client.prepend('k', 'a')).toBe(true)
      expect(await client.get('k')).toBe('abc')
      expect(await client.replace('k', 'new')).toBe(true)
      expect(await client.get('k')).toBe('new')
    })

    test('compares and swaps', async () => {
      expect(await client.cas('k', 1, 1n)).toBe('notFound')
      await client.set('k', 1)
      const item = await client.gets<number>('k')
      expect(await client.cas('k', 2, item!.casUnique)).toBe('stored')
      expect(await client.cas('k', 3, item!.casUnique)).toBe('exists')
      expect(await client.get('k')).toBe(2)
    })

    test('deletes and touches', async () => {
      expect(await client.delete('k')).toBe(false)
      expect(await client.touch('k', 60)).toBe(false)
      await client.set('k', 'v')
      expect(await client.touch('k', 60)).toBe(true)
      expect(await client.delete('k')).toBe(true)
      expect(await client.get('k')).toBeUndefined()
    })

    test('takes any word of the protocol as a key', async () => {
      const words = ['0', '-1', 'b', 'k', 'q', 'S1', 'get', 'END', 'STORED', 'ERROR', 'HTTP/1.1', '%', '~']
      for (const word of words) {
        await client.set(word, `value of ${word}`, 60)
        expect(await client.get(word)).toBe(`value of ${word}`)
        expect((await client.gets(word))?.value).toBe(`value of ${word}`)
        expect(await client.touch(word, 60)).toBe(true)
        expect(await client.add(word, 'other')).toBe(false)
        expect(await client.replace(word, '5')).toBe(true)
        expect(await client.incr(word)).toBe(6)
        expect(await client.append(word, '0')).toBe(true)
        expect((await client.getMulti([word])).get(word)).toBe('60')
        expect(await client.delete(word)).toBe(true)
        expect(await client.delete(word)).toBe(false)
        expect(await client.get(word)).toBeUndefined()
      }
    })

    test('deletes an item whose key is a word that ends other requests', async () => {
      await client.set('noreply', 'v', 60)
      expect(await client.get('noreply')).toBe('v')
      expect(await client.delete('noreply')).toBe(true)
      expect(await client.delete('noreply')).toBe(false)
      expect(await client.get('noreply')).toBeUndefined()
    })

    test('gets and touches', async () => {
      expect(await client.gat('k', 60)).toBeUndefined()
      await client.set('k', 'v')
      expect(await client.gat('k', '40d')).toBe('v')
      const item = await client.gats('k', Infinity)
      expect(item?.value).toBe('v')
      expect(await client.cas('k', 'w', item!.casUnique)).toBe('stored')
    })

    test('counts, exactly beyond 2^53 when given a bigint', async () => {
      expect(await client.incr('n')).toBeUndefined()
      expect(await client.incr('n', 5, { initial: 10, ttl: 60 })).toBe(10)
      expect(await client.incr('n', 5)).toBe(15)
      expect(await client.decr('n', 100)).toBe(0)
      await client.set('big', String(2n ** 64n - 2n))
      expect(await client.incr('big', 1n)).toBe(2n ** 64n - 1n)
      expect(await client.incr('big', 1n)).toBe(0n)
      await client.set('word', 'word')
      await expect(client.incr('word')).rejects.toThrow(MemcacheServerError)
      await expect(client.incr('n', -1)).rejects.toThrow(MemcacheOptionError)
    })

    test('returns its own value to each of a thousand pipelined calls', async () => {
      const keys = Array.from({ length: 1000 }, (_, index) => `key:${index}`)
      await Promise.all(keys.map((key) => client.set(key, { key })))
      const values = await Promise.all(keys.map((key) => client.get<{ key: string }>(key)))
      expect(values.map((value) => value?.key)).toEqual(keys)
    })

    test('gets many keys at once: the hits, by the keys as given', async () => {
      await client.set(['city', 42], 'Zürich')
      await client.set('plain', 1)
      const result = await client.getMulti([['city', 42], 'plain', 'missing', ['city', 'a b:c']])
      expect(new Set(result.values())).toEqual(new Set([1, 'Zürich']))
      expect(result.size).toBe(2)
      expect(result.errors.size).toBe(0)
      expect((await client.getMulti([])).size).toBe(0)
    })

    test('escapes the parts of a key, so that they cannot collide or inject', async () => {
      await client.set(['a', 'b:c'], 1)
      await client.set(['a:b', 'c'], 2)
      await client.set(['a', 'b c\r\nflush_all'], 3)
      expect(await client.get(['a', 'b:c'])).toBe(1)
      expect(await client.get(['a:b', 'c'])).toBe(2)
      expect(await client.get(['a', 'b c\r\nflush_all'])).toBe(3)
    })

    it.each(['', 'with space', 'with\r\ndelete x', 'tab\t', '\u0000', 'k'.repeat(251), 'ü'.repeat(126)])(
      'refuses the key %j and sends nothing',
      async (key) => {
        await client.set('x', 'kept')
        for (const refused of [
          client.get(key),
          client.set(key, 1),
          client.delete(key),
          client.incr(key),
          client.getMulti([key]),
        ]) {
          await expect(refused).rejects.toThrow(MemcacheKeyError)
        }
        expect(await client.get('x')).toBe('kept')
      },
    )

    test('requests a key once per tick, and gives every caller its own value', async () => {
      await client.set('k', { list: [1] })
      const [one, two, other] = await Promise.all([
        client.get<{ list: number[] }>('k'),
        client.get<{ list: number[] }>('k'),
        client.get('missing'),
      ])
      one!.list.push(2)
      expect(two).toEqual({ list: [1] })
      expect(other).toBeUndefined()
      expect(await Promise.all([client.get('missing'), client.get('missing')])).toEqual([undefined, undefined])
    })

    test('keeps the order of the requests of one tick', async () => {
      const asked = [client.set('k', 1), client.get('k'), client.set('k', 2), client.get('k'), client.delete('k')]
      expect(await Promise.all([...asked, client.get('k')])).toEqual([undefined, 1, undefined, 2, true, undefined])
    })

    test('takes unicode keys of up to 250 bytes', async () => {
      const key = `${'ü'.repeat(120)}☂`
      await client.set(key, 'v')
      expect(await client.get(key)).toBe('v')
      expect([...(await client.getMulti([key])).keys()]).toEqual([key])
    })

    test('rejects a value that is too large, and continues', async () => {
      await expect(client.set('k', Buffer.alloc(2 * 1024 * 1024))).rejects.toThrow(MemcacheTooLargeError)
      await client.set('k', 'small')
      expect(await client.get('k')).toBe('small')
    })

    test('returns versions', async () => {
      const [version] = (await client.version()).values()
      expect(version).toMatch(/^\d+\.\d+\.\d+$/)
    })

    test('returns statistics', async () => {
      await client.get('miss')
      const [stats] = (await client.stats()).values()
      expect(stats!['get_misses']).toBeGreaterThan(0)
      expect(stats!['pid']).toBeTypeOf('number')
      expect((await client.stats('settings')).size).toBe(1)
    })

    test('accepts every form of stats, with one line or none, and continues', async () => {
      let ejected = 0
      const count = (): void => void ejected++
      client.on('eject', count)
      for (const form of [
        'reset',
        'detail on',
        'detail dump',
        'detail off',
        'items',
        'slabs',
        'sizes',
        'conns',
        'detail',
        'nonsense',
      ]) {
        const told = await client.stats(form).catch((error: unknown) => error)
        if (told instanceof Map) expect([...told.values()].every((of) => !Object.hasOwn(of, ''))).toBe(true)
        else expect(told).toBeInstanceOf(MemcacheError)
        await client.set('k', form)
        expect(await client.get('k')).toBe(form)
      }
      client.off('eject', count)
      expect(ejected).toBe(0)
    })

    test('gets 600 of the longest keys at once', async () => {
      const keys = Array.from({ length: 600 }, (_, index) => `${'k'.repeat(246)}${1000 + index}`)
      await Promise.all(keys.map((key) => client.set(key, key.slice(-4))))
      const found = await client.getMulti(keys)
      expect(keys.map((key) => found.get(key))).toEqual(keys.map((key) => key.slice(-4)))
      expect((await Promise.all(keys.map((key) => client.get(key)))).length).toBe(600)
    })

    test('ends a wait by the caller’s signal, and keeps the responses in order', async () => {
      const controller = new AbortController()
      await client.set('k', 'v')
      const waiting = client.get('k', { signal: controller.signal })
      const next = client.get('other')
      controller.abort(new Error('enough'))
      await expect(waiting).rejects.toThrow('enough')
      expect(await next).toBeUndefined()
      await expect(client.get('k', { signal: controller.signal })).rejects.toThrow('enough')
      expect(await client.get('k')).toBe('v')
    })

    test('refuses values that cannot be stored, before anything is sent', async () => {
      await expect(client.set('k', () => 1)).rejects.toThrow('it is a function')
      await expect(client.set('k', 1, 0)).rejects.toThrow(MemcacheOptionError)
      await expect(client.set('k', 1, 3_600_000)).rejects.toThrow('milliseconds')
      expect(await client.get('k')).toBeUndefined()
    })
  })
}

/** The additional contract of a client on a server with meta commands. */
export function describeMetaCommands(open: () => Promise<OpenedServer>): void {
  describe('the meta commands of a client', () => {
    const opened = useClient(open)
    let client: MemcachedClient
    beforeEach(() => {
      client = opened()
    })

    it('leases: one wins a miss, the others lose, and a late fill is refused', async () => {
      const winner = await client.meta.get('lease', { vivifySeconds: 30 })
      const loser = await client.meta.get('lease', { vivifySeconds: 30 })
      expect(winner).toMatchObject({ won: true, lost: false, value: undefined, size: 0, clientFlags: 0 })
      expect(loser).toMatchObject({ won: false, lost: true, value: undefined })
      expect((await client.meta.set('lease', 'filled', { compareCas: winner!.casUnique, ttl: 60 })).status).toBe(
        'stored',
      )
      expect((await client.meta.set('lease', 'late', { compareCas: winner!.casUnique })).status).toBe('exists')
      expect(await client.meta.get('lease')).toMatchObject({ value: 'filled', won: false, lost: false })
      await client.delete('lease')
      expect((await client.meta.set('lease', 'late', { compareCas: winner!.casUnique })).status).toBe('notFound')
    })

    it('marks stale: the value stays, the next one wins', async () => {
      await client.set('k', 'old', 100)
      expect(await client.meta.delete('k', { invalidate: true, ttl: 30 })).toBe('deleted')
      expect(await client.meta.get('k')).toMatchObject({ value: 'old', stale: true, won: true })
      expect(await client.meta.get('k')).toMatchObject({ value: 'old', stale: true, won: false, lost: true })
    })

    it('recaches early: one wins', async () => {
      await client.set('k', 'v', 20)
      expect(await client.meta.get('k', { recacheSeconds: 10 })).toMatchObject({ won: false })
      expect(await client.meta.get('k', { recacheSeconds: 30 })).toMatchObject({ value: 'v', won: true })
      expect(await client.meta.get('k', { recacheSeconds: 30 })).toMatchObject({ value: 'v', won: false, lost: true })
    })

    it('deletes by cas unique', async () => {
      await client.set('k', 'v')
      const item = await client.meta.get('k')
      expect(await client.meta.delete('k', { compareCas: item!.casUnique + 1n })).toBe('exists')
      expect(await client.meta.delete('k', { compareCas: item!.casUnique })).toBe('deleted')
      expect(await client.meta.delete('k')).toBe('notFound')
    })

    it('counts in one round trip, making the counter', async () => {
      const first = await client.meta.arithmetic('hits', { vivifyTtl: 60, initial: 1, delta: 1 })
      expect(first).toMatchObject({ value: 1 })
      expect(first!.ttlSeconds).toBeLessThanOrEqual(60)
      expect(await client.meta.arithmetic('hits', { vivifyTtl: 60, initial: 1, delta: 1 })).toMatchObject({ value: 2 })
      expect(await client.meta.arithmetic('hits', { mode: 'decr' })).toMatchObject({ value: 1 })
      expect(await client.meta.arithmetic('none')).toBeUndefined()
    })

    it('returns the metadata of an item, and responds to a noop', async () => {
      expect(await client.meta.debug('k')).toBeUndefined()
      await client.set('k', 'v', 60)
      expect(await client.meta.debug('k')).toMatchObject({
        fetch: 'no',
        cls: '1',
        size: expect.stringMatching(/^\d+$/),
      })
      expect(await client.meta.noop()).toBeUndefined()
      await expect(client.meta.debug('a key')).rejects.toThrow(MemcacheKeyError)
    })

    it('sets lifetimes in every way', async () => {
      const ttlSeconds = async () => (await client.meta.get('k'))?.ttlSeconds
      await client.set('k', 'v')
      expect(await ttlSeconds()).toBe(Infinity)
      await client.touch('k', 60)
      expect(await ttlSeconds()).toBeLessThanOrEqual(60)
      await client.gat('k', '40d')
      expect(await ttlSeconds()).toBeGreaterThan(39 * 86_400)
      await client.gats('k', Infinity)
      expect(await ttlSeconds()).toBe(Infinity)
      await client.meta.get('k', { touchTtl: 30, value: false })
      expect(await ttlSeconds()).toBeLessThanOrEqual(30)
    })

    it('returns whether and when an item was accessed, and does not bump it with noBump', async () => {
      await client.set('k', 'v')
      expect(await client.meta.get('k')).toMatchObject({ hitBefore: undefined, lastAccessSeconds: undefined })
      await client.set('k', 'v')
      expect(await client.meta.get('k', { access: true, noBump: true })).toMatchObject({ hitBefore: false })
      expect(await client.meta.get('k', { access: true })).toMatchObject({
        hitBefore: expect.any(Boolean),
        lastAccessSeconds: expect.any(Number),
      })
      expect(await client.meta.get('k', { access: true })).toMatchObject({ hitBefore: true })
    })

    it('distinguishes an unfilled lease from an empty value', async () => {
      await client.meta.get('lease', { vivifySeconds: 30 })
      await client.set('empty', Buffer.alloc(0))
      const [lease, empty] = await Promise.all([client.get('lease'), client.get('empty')])
      expect(lease).toBeUndefined()
      expect(empty).toEqual(Buffer.alloc(0))
      const many = await client.getMulti(['lease', 'empty'])
      expect([...many.keys()]).toEqual(['empty'])
    })

    it('gives the right to recache only to calls that request it', async () => {
      await client.set('k', 'old', 100)
      await client.meta.delete('k', { invalidate: true, ttl: 30 })
      expect(await client.get('k')).toBe('old')
      expect((await client.getMulti(['k'])).get('k')).toBe('old')
      expect(await client.meta.get('k')).toMatchObject({ value: 'old', won: true })
    })
  })
}

/** Describes keys of bytes, for the meta and the binary protocol. */
export function describeKeysOfBytes(open: () => Promise<OpenedServer>): void {
  it('takes keys of any bytes', async () => {
    const { options, stop } = await open()
    const client = new MemcachedClient({ timeoutMs: 20_000, ...options })
    const key = Uint8Array.of(0, 32, 10, 255, 13, 10)
    await client.set(key, 'v', 60)
    await client.set('text', 't')
    expect(await client.get(key)).toBe('v')
    expect(await client.add(key, 'w')).toBe(false)
    const many = await client.getMulti([key, 'text', Uint8Array.of(1)])
    expect([many.size, many.get(key), many.get('text')]).toEqual([2, 'v', 't'])
    expect(await client.incr(Uint8Array.of(7), 1, { initial: 3 })).toBe(3)
    expect(await client.delete(key)).toBe(true)
    expect(await client.get(key)).toBeUndefined()
    const longest = new Uint8Array(186).fill(9)
    await client.set(longest, 'longest')
    expect(await client.get(longest)).toBe('longest')
    await expect(client.set(new Uint8Array(187), 'v')).rejects.toThrow(MemcacheKeyError)
    await expect(client.get(new Uint8Array(0))).rejects.toThrow(MemcacheKeyError)
    expect((await client.getsMulti([longest])).get(longest)?.value).toBe('longest')
    await client.close()
    await stop()
  })
}
