import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { MemcachedServer } from 'memcache-ts-server'
import { freePort } from 'memcache-ts-testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Memcached } from '../src/compat/memcached.ts'
import { Client } from '../src/compat/memjs.ts'
import { MemcachedClient } from '../src/index.ts'

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

  it('reports errors that memjs ignores', async () => {
    const away = Client.create(`127.0.0.1:${await freePort()}`)
    await expect(away.get('k')).rejects.toThrow('ECONNREFUSED')
    const error = await new Promise((resolve) => away.set('k', 'v', {}, resolve))
    expect(error).toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
    away.quit()
  })

  it('reads credentials from the servers', () => {
    expect(Client.create('me:secret@a:1,b').client.servers).toEqual(['a:1', 'b:11211'])
    expect(Client.create('me:secret@a:1,me:secret@b').servers).toEqual([
      { host: 'a', port: 1 },
      { host: 'b', port: 11211 },
    ])
    expect(() => Client.create('me:secret@a:1,you:other@b')).toThrow(/^the servers have different credentials[^@]*$/)
  })
})

describe('memjs’s own ways', () => {
  let mc: Client
  beforeEach(async () => {
    mc = Client.create(address)
    await mc.flush()
  })
  afterEach(() => mc.close())

  it('are the deprecated orders of arguments', async () => {
    const told = (call: (done: (...results: unknown[]) => void) => void) =>
      new Promise<unknown[]>((resolve) => call((...results) => resolve(results)))
    expect(await told((done) => mc.set('k', 'v', done, 60))).toEqual([null, true])
    expect(await told((done) => mc.set('k', 'v', done))).toEqual([null, true])
    expect(await told((done) => mc.add('k', 'v', done))).toEqual([null, false])
    expect(await told((done) => mc.replace('k', 'w', done, 60))).toEqual([null, true])
    expect(await told((done) => mc.increment('n', 2, done, 60, 5))).toEqual([null, true, 5])
    expect(await told((done) => mc.decrement('n', 2, done))).toEqual([null, true, 3])
    expect(await told((done) => mc.get('k', done))).toEqual([null, Buffer.from('w'), Buffer.alloc(4)])
  })

  it('are statistics by form, and resetting them, once a server', async () => {
    const told = (call: (done: (...results: unknown[]) => void) => void) =>
      new Promise<unknown[]>((resolve) => call((...results) => resolve(results)))
    expect(await told((done) => mc.statsWithKey('settings', done))).toMatchObject([
      null,
      address,
      { maxbytes: expect.any(String) },
    ])
    expect(await told((done) => mc.resetStats(done))).toEqual([null, address, {}])
  })

  it('are serializers, which may throw', async () => {
    const mine = new Error('mine')
    const log: string[] = []
    const json = Client.create(address, {
      logger: { log: (message) => log.push(message) },
      serializer: {
        serialize: (opcode, value, extras) => {
          if (value === 'throw') throw mine
          if (opcode === 1) (extras as Buffer).writeUInt32BE(7)
          return { value: opcode === 0x0e ? String(value) : JSON.stringify(value), extras }
        },
        deserialize: (_, value, extras) => {
          if (String(value) === '"unreadable"') throw mine
          return { value: JSON.parse(String(value)), extras: extras.readUInt32BE(0) }
        },
      },
    })
    expect(await json.set('k', [1, 2] as never, { expires: 60 })).toBe(true)
    expect(await json.get('k')).toEqual({ value: [1, 2], flags: 7 })
    expect(await json.set('space', 5 as never)).toBe(true)
    expect(await json.append('space', '  ')).toBe(true)
    expect(String((await mc.get('space')).value)).toBe('5  ')
    await expect(json.set('k', 'throw')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_OPTION', cause: mine })
    await expect(json.append('k', 'throw')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_OPTION', cause: mine })
    await json.set('k', 'unreadable')
    await expect(json.get('k')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_DECODE', cause: mine })
    expect(log).toEqual([
      'MemJS SET: the serializer cannot write the value: mine',
      'MemJS APPEND: the serializer cannot write the value: mine',
      'MemJS GET: the serializer cannot read the value: mine',
    ])
    json.close()
  })

  it('flush reports the result of each server, and the last failure', async () => {
    const port = await freePort()
    const two = Client.create(`${address},127.0.0.1:${port}`)
    const [error, results] = await new Promise<[unknown, Record<string, unknown>]>((resolve) =>
      two.flush((...told) => resolve(told)),
    )
    expect(error).toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
    expect(results).toEqual({ [address]: true, [`127.0.0.1:${port}`]: error })
    await expect(two.flush()).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
    two.close()
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

  /** Resolves to the arguments of a callback. */
  const called = <Result>(call: (callback: (error: Error | Error[] | undefined, result: Result) => void) => unknown) =>
    new Promise<unknown[]>((resolve) => call((...results) => resolve(results)))

  it('has its callbacks, values and results', async () => {
    expect(await called((done) => memcached.get('k', done))).toEqual([undefined, undefined])
    expect(await called((done) => memcached.set('k', { a: [1] }, 60, done))).toEqual([undefined, true])
    expect(await called((done) => memcached.get('k', done))).toEqual([undefined, { a: [1] }])
    expect(await called((done) => memcached.add('k', 1, 60, done))).toMatchObject([
      { message: 'Item is not stored', notStored: true },
      false,
    ])
    expect(await called((done) => memcached.replace('none', 1, 60, done))).toMatchObject([
      { message: 'Item is not stored' },
      false,
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
    const [version] = await memcached.version()
    expect(version).toMatchObject({
      server: address,
      version: expect.stringMatching(/^\d+\./),
      major: expect.any(String),
    })
    expect(await memcached.stats()).toMatchObject([{ server: address, curr_items: expect.any(Number) }])
    expect(await memcached.decr('none', 1)).toBe(false)
    expect(await memcached.flushAll()).toEqual([true])
  })

  it('settles if memcached is away, and refuses unknown options and values that are too large', async () => {
    const away = new Memcached(`127.0.0.1:${await freePort()}`)
    expect(await called((done) => away.get('k', done))).toMatchObject([{ code: 'ERR_MEMCACHE_CONNECTION' }, undefined])
    away.end()
    expect(() => new Memcached(address, { retires: 1 } as never)).toThrow('`retires` is `retries` here')
    await expect(memcached.set('k', 'x'.repeat(2_000_000), 60)).rejects.toThrow(
      'The length of the value is greater than 1048576',
    )
    const long = 'k'.repeat(300)
    await memcached.set(long, 1, 60)
    expect(await memcached.get(long)).toBe(1)
  })

  it('passes an error to a callback in the place of a missing argument', async () => {
    const dropped: unknown[] = []
    const listen = (error: unknown): void => void dropped.push(error)
    process.on('unhandledRejection', listen)
    const lost = memcached as unknown as Record<string, (...args: unknown[]) => unknown>
    for (const [method, args, message] of [
      ['set', ['k', 'v'], 'Argument "lifetime" is not a valid Number.'],
      ['add', ['k', 'v'], 'Argument "lifetime" is not a valid Number.'],
      ['replace', ['k'], 'Argument "lifetime" is not a valid Number.'],
      ['cas', ['k', 'v', '5'], 'Argument "lifetime" is not a valid Number.'],
      ['touch', ['k'], 'Argument "lifetime" is not a valid Number.'],
      ['incr', ['k'], 'Argument "value" is not a valid Number.'],
      ['decr', ['k'], 'Argument "value" is not a valid Number.'],
      ['append', ['k'], 'Argument "value" is not a valid String.'],
      ['get', [], 'Argument "key" is not a valid String.'],
      ['get', [undefined], 'Argument "key" is not a valid String.'],
      ['get', [null], 'Argument "key" is not a valid String.'],
      ['get', [{}], 'Argument "key" is not a valid String.'],
      ['del', [], 'Argument "key" is not a valid String.'],
      ['get', ['a key'], 'The key should not contain any whitespace or new lines'],
    ] as const) {
      const results = await called((done) => lost[method]!.call(memcached, ...args, done))
      expect(results).toMatchObject([{ message, code: expect.stringMatching(/^ERR_MEMCACHE_/) }, undefined])
    }
    // Promises that are ignored.
    for (const method of ['set', 'get', 'touch', 'del', 'incr', 'append']) void lost[method]!.call(memcached, 'k')
    await called((done) => memcached.get('k', done))
    await new Promise(setImmediate)
    process.off('unhandledRejection', listen)
    expect(dropped).toEqual([])
  })

  it('takes lifetimes that are over at once', async () => {
    for (const lifetime of [-1, 3_000_000]) {
      await memcached.set('k', 1, 60)
      expect(await memcached.add('k', 2, lifetime).catch((error: Error) => error.message)).toBe('Item is not stored')
      expect(await memcached.get('k')).toBe(1)
      expect(await memcached.set('k', 2, lifetime)).toBe(true)
      expect(await memcached.get('k')).toBeUndefined()
      expect(await memcached.add('k', 3, lifetime)).toBe(true)
      expect(await memcached.replace('k', 3, lifetime).catch((error: Error) => error.message)).toBe(
        'Item is not stored',
      )
      await memcached.set('k', 1, 60)
      const { cas } = (await memcached.gets('k')) as { cas: string }
      await memcached.set('k', 2, 60)
      expect(await memcached.cas('k', 3, cas, lifetime)).toBe(false)
      expect(await memcached.get('k')).toBe(2)
      expect(await memcached.touch('k', lifetime)).toBe(true)
      expect(await memcached.touch('k', lifetime)).toBe(false)
    }
    await memcached.set('k', 1, Math.floor(Date.now() / 1000) + 3_000_000)
    expect(await memcached.get('k')).toBe(1)
  })

  it('calls back with the call as `this`', async () => {
    const call = await new Promise<Record<string, unknown>>((resolve) =>
      memcached.set('k', 'v', 60, function () {
        resolve(this as unknown as Record<string, unknown>)
      }),
    )
    expect(call).toMatchObject({ type: 'set', key: 'k', value: 'v', lifetime: 60, callback: expect.any(Function) })
    expect([typeof call.start, typeof call.execution]).toEqual(['number', 'number'])
  })

  it('continues after a callback that throws, whose exception is uncaught as with memcached', async () => {
    const script = `
      import { Memcached } from 'memcache-ts-client/compat/memcached'
      const memcached = new Memcached('${address}')
      const seen = []
      process.on('uncaughtException', (error) => seen.push(error.message))
      memcached.get('k', () => { throw new Error('mine') })
      memcached.get('k', (error) => memcached.set('k', 1, 60, () => memcached.get('k', (_, value) => {
        console.log(JSON.stringify([seen, error ?? null, value]))
        memcached.end()
      })))`
    // Asynchronously: the server is in this process.
    const ran = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
    })
    expect(ran.stdout, ran.stderr).toBe('[["mine"],null,1]\n')
  })

  it('returns items by slab class, and dumps keys', async () => {
    await memcached.set('one', 'v', 60)
    const [settings] = await memcached.settings()
    expect(settings).toMatchObject({ server: address, maxbytes: expect.any(Number) })
    const [slabs] = await memcached.slabs()
    const [items] = (await memcached.items()) as [Record<string, { number: number }>]
    const id = Object.keys(items).find((name) => /^\d+$/.test(name))!
    expect(slabs).toMatchObject({ server: address, [id]: { chunk_size: expect.any(Number) } })
    expect(items).toMatchObject({ server: address, [id]: { number: expect.any(Number) } })
    expect(await memcached.statsItems()).toEqual(await memcached.items())
  })

  it('dumps keys of a slab class as memcached does: many, one, or none', async () => {
    const lines = ['ITEM a [1 b; 0 s]', 'ITEM ns:b [20 b; 1700000000 s]']
    const dumping = createServer((socket) => {
      socket.on('data', (data) => {
        for (const line of data.toString().trim().split('\r\n')) {
          const [, count] = /^stats cachedump (\d)/.exec(line) ?? []
          socket.write(
            count === undefined ? 'VERSION 1.6.21\r\n' : [...lines.slice(0, Number(count)), 'END\r\n'].join('\r\n'),
          )
        }
      })
    }).listen(0, '127.0.0.1')
    await once(dumping, 'listening')
    const at = `127.0.0.1:${(dumping.address() as AddressInfo).port}`
    const other = new Memcached(at)
    expect(await called((done) => other.cachedump(at, 2, 9, done))).toEqual([
      undefined,
      [
        { key: 'a', b: 1, s: 0 },
        { key: 'ns:b', b: 20, s: 1_700_000_000 },
      ],
    ])
    expect(await called((done) => other.cachedump(at, 1, 9, done))).toEqual([undefined, { key: 'a', b: 1, s: 0 }])
    expect(await called((done) => other.cachedump(at, 0, 9, done))).toEqual([undefined, undefined])
    other.end()
    dumping.close()
  })

  it('returns the responses of some servers while others are away', async () => {
    const away = `127.0.0.1:${await freePort()}`
    const two = new Memcached([address, away])
    for (const method of ['version', 'stats', 'settings', 'items', 'flush'] as const) {
      const [error, results] = await called((done) => two[method](done as never))
      expect(error).toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
      expect(results).toHaveLength(1)
    }
    const there = Array.from({ length: 100 }, (_, index) => `k${index}`).find(
      (key) => two.client.serverOf(key) === address,
    )!
    const gone = Array.from({ length: 100 }, (_, index) => `k${index}`).find(
      (key) => two.client.serverOf(key) === away,
    )!
    await two.set(there, 1, 60)
    expect(await called((done) => two.getMulti([there, gone], done))).toMatchObject([
      [{ code: 'ERR_MEMCACHE_CONNECTION' }],
      { [there]: 1 },
    ])
    expect(await called((done) => two.get([gone], done))).toMatchObject([[{ code: 'ERR_MEMCACHE_CONNECTION' }], {}])
    two.end()
  })

  it('has its events', async () => {
    const away = `127.0.0.1:${await freePort()}`
    const failing = new Memcached(away, { remove: true })
    const told = new Map<string, unknown>()
    for (const event of ['issue', 'failure', 'remove', 'reconnecting'] as const) {
      failing.once(event, (details) => told.set(event, details))
    }
    const reconnecting = once(failing, 'reconnecting')
    await called((done) => failing.get('k', done))
    await reconnecting
    expect([...told.keys()]).toEqual(expect.arrayContaining(['failure', 'remove', 'reconnecting']))
    expect(told.get('failure')).toMatchObject({
      server: away,
      tokens: [away.split(':')[1], '127.0.0.1'],
      messages: [expect.stringContaining('ECONNREFUSED')],
      totalFailures: 1,
      totalReconnectsSuccess: 0,
    })
    const back = once(failing, 'reconnect')
    const late = new MemcachedServer({ port: Number(away.split(':')[1]) })
    await late.listen()
    const [details] = await back
    expect(details).toMatchObject({ server: away, totalReconnectsSuccess: 1 })
    failing.end()
    await late.close()
  })

  it('has its global configuration', async () => {
    const { namespace } = Memcached.config
    Memcached.config.namespace = 'global:'
    const configured = new Memcached(address)
    Memcached.config.namespace = namespace
    await configured.set('k', 'v', 60)
    expect(await configured.get('k')).toBe('v')
    expect((await configured.client.getMulti(['global:k'])).size).toBe(1)
    configured.end()
    const small = new Memcached(address, { maxValue: 10, maxKeySize: 20, maxQueueSize: 5 })
    await expect(small.set('k', { a: 'x'.repeat(10) }, 60)).rejects.toThrow('greater than 10')
    await small.set('k'.repeat(21), 'long', 60)
    expect(await small.get('k'.repeat(21))).toBe('long')
    small.end()
    const refusing = new Memcached(address, { keyCompression: false })
    await expect(refusing.get('k'.repeat(251))).rejects.toThrow('longer than the maximum allowed length of 250')
    refusing.end()
  })

  it('stores and reads the same as memcached', async () => {
    const values = ['text', '', 'a\r\nb', 5, -1.5, { a: [1] }, [null], true, null, Buffer.from([0, 255, 13, 10])]
    for (const value of values) {
      await memcached.set('k', value, 60)
      expect(await memcached.get('k')).toStrictEqual(value)
    }
    await memcached.set('k', { at: new Date(0), none: undefined }, 60)
    expect(await memcached.get('k')).toStrictEqual({ at: '1970-01-01T00:00:00.000Z' })
    await memcached.set('n', 10, 60)
    await memcached.decr('n', 1)
    expect(await memcached.get('n')).toBe(9)
    await memcached.set('lines', 'a', 60)
    await memcached.append('lines', '\r\nü')
    expect(await memcached.get('lines')).toBe('a\r\nü')
    const circular: Record<string, unknown> = {}
    circular.self = circular
    expect(await called((done) => memcached.set('k', circular, 60, done))).toMatchObject([
      { code: 'ERR_MEMCACHE_OPTION' },
      undefined,
    ])
    await using other = new MemcachedClient({
      servers: address,
      values: { encode: () => ({ bytes: 'theirs', clientFlags: 32 }), decode: () => 0 },
      timeoutMs: 20_000,
    })
    await other.set('ns:theirs', 0)
    expect(await memcached.get('theirs')).toBe('theirs')
  })

  it('finds keys on the servers where memcached has them', () => {
    const require = createRequire(import.meta.url)
    const HashRing = require(require.resolve('hashring', { paths: [require.resolve('memcached')] }))
    for (const servers of [
      ['10.0.0.1:11211', '10.0.0.2:11211', '10.0.0.3:11212'],
      { '10.0.0.1:11211': 1, '10.0.0.2:11211': 3 },
    ]) {
      const ring = new HashRing(servers, 'md5', { compatibility: 'ketama', 'default port': 11211 })
      const ours = new Memcached(servers as never)
      const keys = Array.from({ length: 1000 }, (_, index) => `user:${index * 7919}`)
      const theirs = new Map<string, string[]>()
      for (const key of keys) theirs.set(ring.get(key), [...(theirs.get(ring.get(key)) ?? []), key])
      const found = new Map<string, string[]>()
      ours.multi(keys, (server, some) => found.set(server, some!))
      expect(found).toEqual(theirs)
      const all: unknown[] = []
      ours.multi(false, (server, some, index, total) => all.push([server, some, index, total]))
      expect(all).toEqual(ours.servers.map((server, index, { length }) => [server, undefined, index, length]))
      ours.end()
    }
  })
})

describe('the documented names of the replaced packages', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const table = readme.slice(readme.indexOf('## Migrating from memjs or memcached'))
  const documentOf = (name: string) => {
    const require = createRequire(import.meta.url)
    return readFileSync(join(dirname(require.resolve(`${name}/package.json`)), 'README.md'), 'utf8')
  }
  const namesIn = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, name]) => name!)

  it('of memcached exist here, or are in the table of differences', () => {
    const document = documentOf('memcached')
    const methods = namesIn(document, /^\*\*(?:memcached)?\.(\w+)\*\*/gm)
    expect(methods.length).toBeGreaterThan(20)
    for (const method of methods) {
      const isHere = typeof Memcached.prototype[method as 'get'] === 'function'
      expect(isHere || table.includes(`\`${method}\``), method).toBe(true)
    }
    const options = namesIn(document.slice(0, document.indexOf('## API')), /^\* `(\w+)`: \*\w+\*,/gm)
    expect(options.length).toBeGreaterThan(12)
    for (const option of options) {
      const value = { algorithm: 'md5', failOverServers: [], remove: false, keyCompression: true }[option] ?? 5
      const opened = new Memcached(address, { [option]: value })
      opened.end()
    }
    const events = namesIn(
      document.slice(document.lastIndexOf('### Events')),
      /^\* `(\w+)`: .*(?:retry next|dead|failed server|memcached server|hashing)\.$/gm,
    )
    expect(events).toEqual(['issue', 'failure', 'reconnecting', 'reconnect', 'remove'])
    for (const event of events) expect(table).toContain(`\`${event}\``)
  })

  it('of memjs exist here, or are in the table of differences', () => {
    const require = createRequire(import.meta.url)
    const theirs = require('memjs') as Record<string, unknown> & { Client: { prototype: object } }
    for (const name of [...Object.keys(theirs), ...Object.keys(theirs.Client.prototype)]) {
      const isHere = name === 'Client' || name in Client.prototype
      expect(isHere || table.includes(`\`${name}\``), name).toBe(true)
    }
  })
})
