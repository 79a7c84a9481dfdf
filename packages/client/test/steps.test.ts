import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { MemcachedServer } from 'memcache-ts-server'
import { describeWithMemcached, FaultProxy, launchMemcached, readUntil } from 'memcache-ts-testing'
import type { Fault } from 'memcache-ts-testing'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheError, MemcacheTooLargeError } from '../src/index.ts'
import type { CallOptions, MemcachedClientOptions } from '../src/index.ts'

const CHUNK_BYTES = 1000
const LIST_FLAGS = 1_296_236_549
const old = 'o'.repeat(5500)
const fresh = 'f'.repeat(7700)

let server: MemcachedServer
let address: string
beforeAll(async () => {
  server = new MemcachedServer({ port: 0 })
  address = `127.0.0.1:${(await server.listen()).port}`
})
afterAll(() => server.close())
beforeEach(async () => {
  await using client = open()
  await client.flushAll()
})

function open(options: MemcachedClientOptions = {}): MemcachedClient {
  return new MemcachedClient({ servers: address, chunkBytes: CHUNK_BYTES, timeoutMs: 20_000, ...options })
}

/** Stores `k` as another program could: no codec of this client may use the client flags of a list. */
async function storeList(list: unknown): Promise<void> {
  const bytes = JSON.stringify(list)
  const socket = connect(Number(address.split(':')[1]), '127.0.0.1')
  socket.write(`set k ${LIST_FLAGS} 60 ${Buffer.byteLength(bytes)}\r\n${bytes}\r\n`)
  expect(await readUntil(socket, '\r\n')).toBe('STORED\r\n')
  socket.destroy()
}

function items(): number {
  return Number(server.stats()['curr_items'])
}

/** Calls of several steps, and what `k` may have afterwards where it had `old` before. */
const CALLS: Record<string, [(client: MemcachedClient, options: CallOptions) => Promise<unknown>, unknown[]]> = {
  set: [(client, options) => client.set('k', fresh, 60, options), [old, fresh]],
  'set of a small value': [(client, options) => client.set('k', 'small', 60, options), [old, 'small']],
  add: [(client, options) => client.add('k', fresh, 60, options), [old]],
  replace: [(client, options) => client.replace('k', fresh, 60, options), [old, fresh]],
  'cas of another': [(client, options) => client.cas('k', fresh, 1n, 60, options), [old]],
  append: [(client, options) => client.append('k', 'x', options), [old]],
  get: [(client, options) => client.get('k', options), [old]],
  gets: [(client, options) => client.gets('k', options), [old]],
  getMulti: [(client, options) => client.getMulti(['k'], options), [old]],
  gat: [(client, options) => client.gat('k', 60, options), [old]],
  touch: [(client, options) => client.touch('k', 60, options), [old]],
  'meta.get': [(client, options) => client.meta.get('k', { ...options, touchTtl: 60 }), [old]],
  delete: [(client, options) => client.delete('k', options), [old, undefined]],
}

const FAULTS: ((bytes: number) => Fault)[] = [
  (bytes) => ({ kind: 'cutAfter', bytes }),
  (bytes) => ({ kind: 'stallAfter', bytes }),
  (bytes) => ({ kind: 'errorAfter', bytes }),
  () => ({ kind: 'reset' }),
]

describe.each(Object.entries(CALLS))('%s on a value in chunks', (_, [call, allowed]) => {
  it('keeps a complete value if any of its steps fails', async () => {
    await using proxy = await FaultProxy.start({ host: '127.0.0.1', port: Number(address.split(':')[1]) })
    await using whole = open()
    for (const fault of FAULTS) {
      for (const bytes of [0, 10, 60, 300, 2500]) {
        await whole.set('k', old, 60)
        proxy.fault = { kind: 'none' }
        const client = open({ servers: proxy.address, timeoutMs: 60, poolSize: 1 })
        await client.version({ timeoutMs: 20_000 })
        proxy.fault = fault(bytes)
        const error = await call(client, {}).then(
          () => undefined,
          (reason: unknown) => reason,
        )
        if (error !== undefined) expect(error).toBeInstanceOf(MemcacheError)
        proxy.fault = { kind: 'none' }
        proxy.cutAll()
        expect(allowed).toContain(await whole.get('k'))
        await client.close()
      }
    }
  })

  it('keeps a complete value if it is aborted, at any moment', async () => {
    await using client = open({ poolSize: 1 })
    const reason = new Error('enough')
    for (let turns = 0; turns < 6; turns++) {
      await client.set('k', old, 60)
      const controller = new AbortController()
      const called = call(client, { signal: controller.signal }).catch((error: unknown) => {
        if (!(error instanceof MemcacheError)) expect(error).toBe(reason)
      })
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
      controller.abort(reason)
      await called
      expect(allowed).toContain(await client.get('k'))
      // A later call is never overtaken by one that was given up.
      const again = call(client, { signal: AbortSignal.timeout(1) }).catch(() => {})
      await client.set('k', 'later', 60)
      await again
      expect(await client.get('k')).toBe('later')
    }
  })
})

describe('chunks', () => {
  it('go with the value that is deleted, emptied or not stored', async () => {
    await using client = open()
    for (const remove of [
      () => client.delete('k'),
      () => client.meta.delete('k'),
      () => client.deleteMulti(['k']),
      () => client.delete('k', { noreply: true }),
    ]) {
      await client.set('k', old)
      await remove()
      await expect.poll(items).toBe(0)
    }
    await client.set('k', old)
    await client.meta.delete('k', { removeValue: true })
    await expect.poll(items).toBe(1)
    await client.set('k', 'x')
    expect(await client.add('k', fresh)).toBe(false)
    expect(await client.cas('k', fresh, 1n)).toBe('exists')
    expect(await client.replace('none', fresh)).toBe(false)
    await expect.poll(items).toBe(1)
  })

  it('of a value that was replaced by one in chunks expire soon', async () => {
    await using client = open()
    for (let round = 0; round < 5; round++) await client.set('k', old)
    await client.close()
    await using raw = new MemcachedClient({ servers: address, timeoutMs: 20_000 })
    const forever = new Set<string>()
    await raw.metadump((item) => {
      if (item.expiresAt === Infinity) forever.add(item.key)
    })
    // The list, and the six chunks of the last write.
    expect(forever.size).toBe(7)
  })

  it('have the lifetime that their value is given, in every way to give it', async () => {
    await using client = open()
    await using plain = new MemcachedClient({ servers: address, timeoutMs: 20_000 })
    for (const touch of [
      () => client.touch('k', 900),
      () => client.gat('k', 900),
      () => client.gats('k', 900),
      () => client.meta.get('k', { touchTtl: 900 }),
      () => client.meta.get('k', { touchTtl: 900, value: false }),
      () => plain.touch('k', 900),
      () => plain.gat('k', 900),
    ]) {
      await client.flushAll()
      await client.set('k', old, 60)
      await touch()
      const short: unknown[] = []
      await plain.metadump((item) => {
        if (item.expiresAt < Date.now() / 1000 + 100) short.push(item.key)
      })
      expect(short).toEqual([])
    }
  })

  it('that have gone make the value a miss for touch, too', async () => {
    await using client = open()
    await client.set('k', old, 60)
    const keys: string[] = []
    await client.metadump((item) => keys.push(item.key))
    await client.delete(keys.find((key) => key.endsWith(':2'))!)
    expect(await client.get('k')).toBeUndefined()
    expect(await client.touch('k', 60)).toBe(false)
    expect(await client.meta.get('k', { touchTtl: 60, value: false })).toBeUndefined()
  })

  it('are read whole by a client while another one writes', async () => {
    await using writer = open()
    await using reader = open()
    await writer.set('k', old)
    let isWriting = true
    const written = (async () => {
      for (let round = 0; round < 60; round++) await writer.set('k', String(round % 10).repeat(3000 + round))
      isWriting = false
    })()
    while (isWriting) {
      const value = await reader.get<string>('k')
      expect(value).toBeDefined()
      expect(new Set(value)).toHaveProperty('size', 1)
    }
    await written
  })
})

describe('a list of chunks that another program stored', () => {
  const id = randomBytes(15).toString('base64url')
  it.each([
    ['x', 2e6, 1, 1],
    [id, 1e8, 1e8, 1],
    [id, 1e15, 1e15, 1],
    [id, 10_001, 1e6, 1],
    [id, -1, 1, 1],
    [id, 2.5, 1, 1],
    [id, 3, -5, 1],
    [id, 3, 2, 1],
    [id, 3, 2 ** 40, 1],
    [id, 1, 10, LIST_FLAGS],
    [id, 1, 10, -1],
    [id, 1, 10, 2 ** 40],
    [`${id}\r\n`, 1, 10, 1],
    [[id], 1, 10, 1],
    [id, 1, 10],
    { length: 4 },
    null,
  ])('%j is refused in every way to read it', async (list) => {
    await using client = open()
    await storeList(list)
    const unreadable = { code: 'ERR_MEMCACHE_DECODE' }
    await expect(client.get('k')).rejects.toMatchObject(unreadable)
    await expect(client.gets('k')).rejects.toMatchObject(unreadable)
    await expect(client.gat('k', 60)).rejects.toMatchObject(unreadable)
    await expect(client.meta.get('k')).rejects.toMatchObject(unreadable)
    expect((await client.getMulti(['k'])).errors.get('k')).toMatchObject(unreadable)
    expect(await client.get('k', { unreadable: 'miss' })).toBeUndefined()
    expect(await client.delete('k')).toBe(true)
  })

  it('is a miss if its chunks differ from it in any way', async () => {
    await using client = open()
    const write = async (list: unknown, chunks: readonly string[]): Promise<void> => {
      await storeList(list)
      for (const [index, chunk] of chunks.entries()) await client.set(`chunk:${id}:${index}`, Buffer.from(chunk), 60)
    }
    await write([id, 2, 6, 1], ['abc', 'def'])
    expect(await client.get('k')).toBe('abcdef')
    for (const chunks of [
      ['abcd', 'ef'],
      ['ab', 'cdef'],
      ['abc', ''],
      ['', 'abc'],
      ['abcdef', ''],
    ]) {
      await write([id, 2, 6, 1], chunks)
      expect(await client.get('k')).toBe(chunks[0] === 'abcd' ? 'abcdef' : undefined)
    }
    // A list of itself.
    await write([id, 1, 30, 1], [])
    await client.set(`chunk:${id}:0`, old)
    expect(await client.get('k')).toBeUndefined()
  })
})

describe.each<[string, MemcachedClientOptions]>([
  ['compressed', { compression: true, chunkBytes: 1e6 }],
  ['in chunks', {}],
])('append and prepend, where values are %s', (_, options) => {
  it('join bytes as they are to text and bytes, and refuse the rest', async () => {
    await using client = open(options)
    await client.set('text', 'a', 60)
    const long = 'b'.repeat(3000)
    expect(await client.append('text', long)).toBe(true)
    expect(await client.prepend('text', Buffer.from('0'))).toBe(true)
    expect(await client.get('text')).toBe(`0a${long}`)
    await client.set('bytes', Buffer.from([0, 255]), 60)
    expect(await client.append('bytes', new Uint8Array([1]))).toBe(true)
    expect(await client.get('bytes')).toEqual(Buffer.from([0, 255, 1]))
    for (const value of [long.repeat(2), { a: 1 }, 5, new Date(0), null]) {
      await client.set('other', value, 60)
      for (const mode of ['append', 'prepend'] as const) {
        await expect(client[mode]('other', 'x')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_OPTION', key: 'other' })
        await expect(client.meta.set('other', 'x', { mode, vivifyTtl: 60 })).rejects.toThrow('gets')
      }
      expect(await client.get('other')).toEqual(value)
    }
    expect(await client.append('none', 'x')).toBe(false)
    await client.meta.get('lease', { vivifySeconds: 30 })
    expect(await client.append('lease', 'x')).toBe(false)
    expect((await client.meta.set('made', 'x', { mode: 'append', vivifyTtl: 60 })).status).toBe('stored')
    expect(await client.get('made')).toBe('x')
    for (const value of [5, undefined, {}, '\ud800']) {
      await expect(client.append('text', value as string)).rejects.toMatchObject({ code: 'ERR_MEMCACHE_OPTION' })
    }
  })
})

describe('an append that races with another client', () => {
  async function race(options: MemcachedClientOptions): Promise<void> {
    const json = { encode: (value: unknown) => ({ bytes: JSON.stringify(value), clientFlags: 2 }), decode: () => 0 }
    await using client = new MemcachedClient({ timeoutMs: 20_000, ...options })
    await using other = new MemcachedClient({ timeoutMs: 20_000, ...options, values: json })
    for (let round = 0; round < 40; round++) {
      await client.set('k', 'base', 60)
      const appended = client.append('k', '}').then(
        () => 'joined',
        (error: MemcacheError) => error.code,
      )
      for (let turn = 0; turn < round % 8; turn++) await new Promise((resolve) => setImmediate(resolve))
      await other.set('k', { a: round }, 60)
      expect(['joined', 'ERR_MEMCACHE_OPTION']).toContain(await appended)
      expect(await client.get('k')).toEqual({ a: round })
    }
  }
  it('never loses the value that another call has stored', () => race({ servers: address }))
  it('nor by the classic protocol', () => race({ servers: address, protocol: 'text' }))
  describeWithMemcached('on memcached', () => {
    it.each(['meta', 'text', 'binary'] as const)('nor by %s', async (protocol) => {
      await using memcached = await launchMemcached()
      await race({ servers: `${memcached.host}:${memcached.port}`, protocol })
    })
  })
})

describe('a batch', () => {
  const foreignCodec = { encode: () => ({ bytes: 'x', clientFlags: 77 }), decode: () => 0 }

  it.each(['getMulti', 'getsMulti'] as const)(
    'of %s loses one entry by a value that cannot be read',
    async (method) => {
      await using client = open()
      await using foreign = new MemcachedClient({ servers: address, values: foreignCodec, timeoutMs: 20_000 })
      const keys = Array.from({ length: 100 }, (_, index) => `k${index}`)
      expect(
        (
          await client.setMulti(
            keys.map((key) => [key, key] as const),
            60,
          )
        ).size,
      ).toBe(100)
      await foreign.set('k50', 'x', 60)
      await client.set('k51', old, 60)
      const found = await client[method](keys)
      expect(found.size).toBe(99)
      expect([...found.errors.keys()]).toEqual(['k50'])
      expect([...found.keyErrors]).toEqual([
        ['k50', expect.objectContaining({ code: 'ERR_MEMCACHE_DECODE', key: 'k50' })],
      ])
      const lenient = await client[method](keys, { unreadable: 'miss' })
      expect(lenient.size).toBe(99)
      expect(lenient.errors.size).toBe(0)
    },
  )

  it('loses one entry by a key that cannot be', async () => {
    await using client = open()
    const keys = ['a', 'b b', 'c', '\ud800', 5 as never, ['d', 1], Buffer.of(0xff)]
    const stored = await client.setMulti(new Map(keys.map((key) => [key, 'v'])), 60)
    expect(stored.size).toBe(4)
    expect([...stored.keys()]).toEqual(expect.arrayContaining(['a', 'c', ['d', 1], Buffer.of(0xff)]))
    expect([...stored.keyErrors.keys()]).toEqual(['b b', '\ud800', 5])
    const found = await client.getMulti(keys)
    expect(found.size).toBe(4)
    expect([...found.keyErrors.values()].every(({ code }) => code === 'ERR_MEMCACHE_KEY')).toBe(true)
    const deleted = await client.deleteMulti([...keys, 'none'])
    expect(deleted.get('a')).toBe(true)
    expect(deleted.get('none')).toBe(false)
    expect(deleted.keyErrors.size).toBe(3)
  })

  it('gives cas uniques that fit', async () => {
    await using client = open()
    await client.setMulti(
      [
        ['a', 1],
        ['b', old],
      ],
      60,
    )
    const found = await client.getsMulti<unknown, string>(['a', 'b', 'c'])
    expect(found.size).toBe(2)
    expect(found.get('b')!.value).toBe(old)
    expect(await client.cas('a', 2, found.get('a')!.casUnique)).toBe('stored')
    expect(await client.cas('b', fresh, found.get('b')!.casUnique)).toBe('stored')
    expect(await client.cas('b', fresh, found.get('b')!.casUnique)).toBe('exists')
  })

  it('rejects when nothing could be done, with one deadline for all', async () => {
    await using client = new MemcachedClient({ servers: '127.0.0.1:1', timeoutMs: 200 })
    await expect(client.setMulti([['a', 1]])).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
    await expect(client.deleteMulti(['a'])).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
    for (const wrong of [5, null, 'ab', [1]]) {
      await expect(client.setMulti(wrong as never)).rejects.toMatchObject({ code: 'ERR_MEMCACHE_OPTION' })
    }
  })
})

describe('unreadable: miss', () => {
  it('reads a value of another version as a miss, by every read', async () => {
    await using client = open({ unreadable: 'miss' })
    const values = { encode: () => ({ bytes: 'x', clientFlags: 77 }), decode: () => 0 }
    await using foreign = new MemcachedClient({ servers: address, values, timeoutMs: 20_000 })
    await foreign.set('k', 'x', 60)
    expect(await client.get('k')).toBeUndefined()
    expect(await client.gets('k')).toBeUndefined()
    expect(await client.gat('k', 60)).toBeUndefined()
    expect(await client.meta.get('k')).toBeUndefined()
    expect((await client.getMulti(['k'])).errors.size).toBe(0)
    await expect(client.get('k', { unreadable: 'error' })).rejects.toMatchObject({ code: 'ERR_MEMCACHE_DECODE' })
    await expect(client.get('k', { unreadable: 'no' as never })).rejects.toMatchObject({ code: 'ERR_MEMCACHE_OPTION' })
  })
})

describe('noreply', () => {
  it('resolves immediately with undefined, rejects known failures immediately, and ignores the response', async () => {
    await using client = open()
    const noreply = { noreply: true } as const
    const results = await Promise.all([
      client.set('k', 'a', 60, noreply),
      client.append('k', 'b', noreply),
      client.add('k', fresh, 60, noreply),
      client.replace('k', old, 60, noreply),
      client.touch('k', 60, noreply),
      client.incr('k', 1, noreply),
      client.delete('none', noreply),
    ])
    expect(new Set(results)).toEqual(new Set([undefined]))
    expect(await client.get('k')).toBe(old)
    await expect(client.set('a b', 1, 60, noreply)).rejects.toMatchObject({ code: 'ERR_MEMCACHE_KEY' })
    await expect(client.set('k', 1, 0, noreply)).rejects.toMatchObject({ code: 'ERR_MEMCACHE_OPTION' })
    await expect(client.set('k', 1, 60, { noreply: 'yes' as never })).rejects.toMatchObject({
      code: 'ERR_MEMCACHE_OPTION',
    })
    await client.close()
    await expect(client.set('k', 1, 60, noreply)).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CLOSED' })
  })
})

describe('noreply in a loop that awaits it', () => {
  it.each(['meta', 'text', 'binary'] as const)(
    'never fills the queue, however many writes there are (%s)',
    async (protocol) => {
      await using client = open({ maxQueue: 20, protocol, timeoutMs: 60_000 })
      const keys = Array.from({ length: 500 }, (_, index) => `loop:${index}`)
      for (const key of keys) await client.set(key, key, 60, { noreply: true })
      const found = await Promise.all(keys.map(async (key, index) => (index % 100 === 0 ? client.get(key) : key)))
      expect(found).toEqual(keys)
      for (const key of keys) await client.delete(key, { noreply: true })
      expect((await client.getMulti(keys)).size).toBe(0)
    },
  )
})

describe('a value over the item limit', () => {
  it.each(['meta', 'text'] as const)(
    'is refused before it is sent, by %s; the old value and the connection stay',
    async (protocol) => {
      await using client = new MemcachedClient({ servers: address, protocol, itemMaxBytes: 10_000, timeoutMs: 20_000 })
      let disconnected = 0
      client.on('disconnect', () => disconnected++)
      await client.set('k', 'stays', 60)
      for (const value of ['x'.repeat(10_000), 'é'.repeat(6000), Buffer.alloc(9999)]) {
        await expect(client.set('k', value)).rejects.toBeInstanceOf(MemcacheTooLargeError)
      }
      await client.set('fits', 'é'.repeat(4900))
      expect(await client.get('k')).toBe('stays')
      expect(disconnected).toBe(0)
    },
  )

  it('is refused by the limit that the server reports, in order with other calls', async () => {
    await using client = new MemcachedClient({ servers: address, timeoutMs: 20_000 })
    await client.set('k', 'stays', 60)
    const [refused, , later] = await Promise.allSettled([
      client.set('k', Buffer.alloc(1_048_570)),
      client.set('k', 'later'),
      client.get('k'),
    ])
    // The client refuses it: the server's own refusal has another message.
    expect(refused).toMatchObject({
      reason: { code: 'ERR_MEMCACHE_TOO_LARGE', message: expect.stringContaining('over the item limit of') },
    })
    expect(later).toMatchObject({ value: 'later' })
    const large = new MemcachedServer({ port: 0, itemMaxBytes: 8 << 20, memoryLimitMb: 256 })
    const { port } = await large.listen()
    await using other = new MemcachedClient({ servers: `127.0.0.1:${port}`, timeoutMs: 20_000 })
    await other.set('k', Buffer.alloc(3_000_000, 1))
    expect((await other.get<Buffer>('k'))?.length).toBe(3_000_000)
    await other.close()
    await large.close()
  })

  async function checkJoins(servers: string, protocol: 'meta' | 'text' | 'binary', mode: 'append' | 'prepend') {
    await using client = new MemcachedClient({ servers, protocol, timeoutMs: 20_000 })
    const tooLarge = { code: 'ERR_MEMCACHE_TOO_LARGE' }
    await client.set('short', 'stays', 60)
    await expect(client[mode]('short', 'x'.repeat(2 << 20))).rejects.toMatchObject(tooLarge)
    expect(await client.get('short')).toBe('stays')
    await client.set('long', Buffer.alloc(900_000, 1), 60)
    await expect(client[mode]('long', Buffer.alloc(200_000))).rejects.toMatchObject(tooLarge)
    const left = await client.get<Buffer>('long')
    expect(left?.equals(Buffer.alloc(900_000, 1))).toBe(true)
    expect(await client[mode]('none', Buffer.alloc(200_000))).toBe(false)
  }
  const joins = (['meta', 'text', 'binary'] as const).flatMap((protocol) =>
    (['append', 'prepend'] as const).map((mode) => ({ protocol, mode })),
  )

  it.each(joins)('is not made by $mode, by $protocol: the stored value stays', ({ protocol, mode }) =>
    checkJoins(address, protocol, mode),
  )
  describeWithMemcached('on memcached', () => {
    it.each(joins)('is not made by $mode, by $protocol: the stored value stays', async ({ protocol, mode }) => {
      await using memcached = await launchMemcached()
      await checkJoins(`${memcached.host}:${memcached.port}`, protocol, mode)
    })
  })
})

describe('meta.get with compareCas', () => {
  async function check(client: MemcachedClient): Promise<void> {
    await client.set('k', 'v', 60)
    const first = await client.meta.get<string>('k')
    const same = await client.meta.get('k', { compareCas: first!.casUnique })
    expect(same).toMatchObject({ unchanged: true, value: undefined, casUnique: first!.casUnique })
    await client.set('k', 'w', 60)
    const changed = await client.meta.get('k', { compareCas: first!.casUnique })
    expect(changed).toMatchObject({ unchanged: false, value: 'w' })
    expect(await client.meta.get('none', { compareCas: 1n })).toBeUndefined()
  }
  it('omits a value that the caller has', async () => {
    await using client = open()
    await check(client)
  })
  describeWithMemcached('on an older memcached', () => {
    it('is the same', async () => {
      await using memcached = await launchMemcached()
      await using client = new MemcachedClient({ servers: `${memcached.host}:${memcached.port}`, timeoutMs: 20_000 })
      await check(client)
    })
  })
})
