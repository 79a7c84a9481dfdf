import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import express from 'express'
import { Cookie } from 'express-session'
import type { CookieOptions, SessionData } from 'express-session'
import { memcache } from 'memcache-ts'
import type { Memcache } from 'memcache-ts'
import request from 'supertest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { MemcacheStore, memcacheSession } from '../src/index.ts'
import type { MemcacheStoreOptions } from '../src/index.ts'
import { listen } from './open-app.ts'

/** A server that a suite has started. */
export interface ContractServer extends AsyncDisposable {
  readonly address: string
}

const DAY_SECONDS = 86_400
const KEY = 'a secret of more than thirty-two characters, 1'
const OTHER_KEY = 'a secret of more than thirty-two characters, 2'

/**
 * Tests the contract of a session store: express-session's "Session Store Implementation", and the requirements in the
 * suites of connect-redis, connect-mongo and similar stores.
 */
export function describeSessionStore(launch: () => Promise<ContractServer>): void {
  let server: ContractServer
  const caches: Memcache[] = []
  beforeAll(async () => {
    server = await launch()
  })
  afterAll(() => server[Symbol.asyncDispose]())
  afterEach(async () => {
    await caches[0]?.client.flushAll()
    await Promise.all(caches.splice(0).map((cache) => cache.close()))
  })

  /** A cache as a process of a fleet has it. */
  function openCache(prefix = 'app'): Memcache {
    const cache = memcache({ servers: server.address, prefix, logger: false, timeoutMs: 5000 })
    caches.push(cache)
    return cache
  }

  function openStore(options: MemcacheStoreOptions = {}): { store: MemcacheStore; cache: Memcache } {
    const cache = options.cache ?? openCache()
    return { store: new MemcacheStore({ ...options, cache }), cache }
  }

  /** Returns the remaining lifetime of a session, under any generation. */
  async function secondsLeft(cache: Memcache, id: string): Promise<number | undefined> {
    const generation = await cache.client.get<string>('session::generation')
    const key = generation === undefined ? `session:${id}` : `session:${generation}:${id}`
    return (await cache.client.meta.get(key, { value: false }))?.ttlSeconds
  }

  describe('its methods', () => {
    it('keep sessions as JSON does, by callbacks', async () => {
      const { store } = openStore()
      const session = {
        ...sessionOf({ maxAge: 10_000, secure: true, domain: 'cow.com' }),
        foo: 'bar',
        baz: { cow: 'moo' },
      }
      const called = await new Promise<unknown[]>((resolve) => store.set('a', session, (...args) => resolve(args)))
      expect(called[0] ?? undefined).toBeUndefined()
      const read = await new Promise((resolve, reject) =>
        store.get('a', (error, data) => (error ? reject(error) : resolve(data))),
      )
      expect(read).toEqual(JSON.parse(JSON.stringify(session)))
      expect(await new Promise((resolve) => store.get('b', (error, data) => resolve([error, data])))).toEqual([
        null,
        undefined,
      ])
      await new Promise<void>((resolve, reject) => store.destroy('a', (error) => (error ? reject(error) : resolve())))
      expect(await store.get('a')).toBeUndefined()
    })

    it('run through a life, by promises', async () => {
      const { store, cache } = openStore()
      await store.clear()
      await store.set('123', { foo: 'bar' } as never)
      expect(await store.get('123')).toEqual({ foo: 'bar' })
      expect(await secondsLeft(cache, '123')).toBeGreaterThanOrEqual(DAY_SECONDS - 20)
      const inMs = (ms: number): string => new Date(Date.now() + ms).toISOString()
      await store.set('456', { cookie: { expires: inMs(60_000) } } as never)
      expect(await secondsLeft(cache, '456')).toBeLessThanOrEqual(60)
      const expires = inMs(90_000)
      await store.touch('456', { cookie: { expires } } as never)
      expect(await secondsLeft(cache, '456')).toBeGreaterThan(60)
      expect(await store.length()).toBe(2)
      expect((await store.ids()).sort()).toEqual(['123', '456'])
      const all = (await store.all()).sort((a, b) => (a.id > b.id ? 1 : -1))
      expect(all).toEqual([
        { id: '123', foo: 'bar' },
        { id: '456', cookie: { expires } },
      ])
      await store.destroy('456')
      expect(await store.length()).toBe(1)
      await store.clear()
      expect([await store.length(), await store.ids(), await store.all()]).toEqual([0, [], []])
    })

    it('count a thousand sessions, and end them all', async () => {
      const { store } = openStore()
      const cookie = new Cookie()
      cookie.maxAge = 60_000
      await Promise.all(Array.from({ length: 1000 }, (_, index) => store.set(`s${index}`, { cookie } as SessionData)))
      expect(await store.length()).toBe(1000)
      await store.clear()
      expect(await store.length()).toBe(0)
    })

    it('are upserts, and removals that are no error when there is nothing', async () => {
      const { store } = openStore()
      await store.set('a', { ...sessionOf(), n: 1 } as never)
      await store.set('a', { ...sessionOf(), n: 2 } as never)
      expect(await store.get('a')).toMatchObject({ n: 2 })
      // The last write counts, even if the same object was written before under another id.
      const [one, other] = [
        { ...sessionOf(), n: 1 },
        { ...sessionOf(), n: 2 },
      ] as unknown as SessionData[]
      for (const session of [one!, other!, one!]) await store.set('a', session)
      await store.set('b', one!)
      expect([await store.get('a'), await store.get('b')]).toMatchObject([{ n: 1 }, { n: 1 }])
      expect(await store.length()).toBe(2)
      await store.destroy('a')
      await store.destroy('a')
      await store.destroy('never was')
      expect(await store.get('a')).toBeUndefined()
      await store.set('a', { ...sessionOf(), n: 3 } as never)
      expect(await store.get('a')).toMatchObject({ n: 3 })
    })

    it('create no session, and extend an existing one without changing it', async () => {
      const { store, cache } = openStore({ ttlSeconds: 100 })
      await store.touch('a', sessionOf())
      expect(await store.get('a')).toBeUndefined()
      await store.set('a', { ...sessionOf(), n: 1 } as never)
      await cache.client.touch('session:a', 50)
      await store.touch('a', sessionOf())
      expect(await secondsLeft(cache, 'a')).toBeGreaterThan(90)
      expect(await store.get('a')).toMatchObject({ n: 1 })
      await store.touch('a', sessionOf({ expires: new Date(Date.now() - 1) }))
      expect(await store.get('a')).toBeUndefined()
    })

    it('load and regenerate as those of express-session’s Store', async () => {
      const { store } = openStore()
      await store.set('a', { ...sessionOf({ maxAge: 500_000 }), n: 1 } as never)
      const loaded = await new Promise<SessionData | undefined>((resolve, reject) =>
        store.load('a', (error, session) => (error ? reject(error as Error) : resolve(session))),
      )
      expect(loaded).toMatchObject({ n: 1 })
      expect(loaded!.cookie.expires).toBeInstanceOf(Date)
      expect(loaded!.cookie.originalMaxAge).toBeGreaterThan(490_000)
    })
  })

  describe('how long sessions live', () => {
    it.each([
      ['without an end', {}, 1000],
      ['with an invalid date', { expires: new Date(NaN) }, 1000],
      ['with half a second more', { maxAge: 29_500 }, 30],
      ['a month and a day', { maxAge: 31 * DAY_SECONDS * 1000 }, 31 * DAY_SECONDS],
      ['400 days', { maxAge: 400 * DAY_SECONDS * 1000 }, 400 * DAY_SECONDS],
      ['as all do', { maxAge: 1_000_000 }, 1000],
    ])('%s', async (_, cookie, seconds) => {
      const { store, cache } = openStore({ ttlSeconds: 1000 })
      await store.set('a', sessionOf(cookie))
      // Over 30 days it is a moment, which the server's seconds may meet one late.
      const left = (await secondsLeft(cache, 'a'))!
      expect(left).toBeGreaterThan(seconds - 20)
      expect(left).toBeLessThanOrEqual(seconds + 1)
      expect(await store.get('a')).toBeDefined()
      await store.touch('a', sessionOf(cookie))
      expect((await secondsLeft(cache, 'a'))!).toBeGreaterThan(seconds - 20)
    })

    it('sessions whose end has passed are gone, even if their item still exists', async () => {
      const { store, cache } = openStore()
      await store.set('a', sessionOf())
      await store.set('a', sessionOf({ expires: new Date(Date.now() - 1) }))
      expect(await store.get('a')).toBeUndefined()
      const stored = { cookie: { expires: new Date(Date.now() - 1).toISOString(), originalMaxAge: 5000 }, n: 1 }
      await cache.client.set('session:b', stored, 1000)
      expect(await store.get('b')).toBeUndefined()
      expect(await store.length()).toBe(0)
    })

    it('sessions of an unusual lifetime are neither shortened nor lengthened by reads', async () => {
      const { store, cache } = openStore({ ttlSeconds: 1000 })
      const another = openStore({ ttlSeconds: 1000, cache: openCache() }).store
      await store.set('long', sessionOf({ maxAge: 31 * DAY_SECONDS * 1000 }))
      await store.set('short', sessionOf({ maxAge: 100_000 }))
      await store.set('usual', sessionOf({ maxAge: 1_000_000 }))
      for (const reader of [another, store]) {
        const short = (await reader.get('short'))!
        expect(new Date(short.cookie.expires as never).getTime()).toBeLessThanOrEqual(Date.now() + 100_000)
        await reader.get('long')
        expect(await secondsLeft(cache, 'long')).toBeGreaterThan(30 * DAY_SECONDS)
        await reader.get('usual')
        expect(await secondsLeft(cache, 'usual')).toBeLessThanOrEqual(1000)
      }
    })
  })

  describe('writes at once', () => {
    it('lose none of a hundred, ten at a time, from two processes', async () => {
      const stores = [openStore().store, openStore({ cache: openCache() }).store]
      await stores[0]!.set('a', sessionOf())
      for (let round = 0; round < 10; round++) {
        const held = await Promise.all(Array.from({ length: 10 }, (_, index) => hold(stores[index % 2]!, 'a')))
        await Promise.all(
          held.map(({ store, session }, index) => {
            Object.assign(session, { [`k${round}-${index}`]: 1 })
            return store.set('a', session)
          }),
        )
      }
      const { cookie: _, ...data } = (await stores[0]!.get('a'))!
      expect(Object.keys(data)).toHaveLength(100)
    })

    it('are not undone by a request that only reads, in ten of ten runs', async () => {
      const { store } = openStore()
      await store.set('a', sessionOf())
      for (let round = 0; round < 10; round++) {
        const [reader, writer] = [await hold(store, 'a'), await hold(store, 'a')]
        await store.set('a', Object.assign(writer.session, { n: round }))
        await store.touch('a', reader.session)
        await store.set('a', reader.session)
        expect(await store.get('a')).toMatchObject({ n: round })
      }
    })

    it('restore neither a destroyed session nor a cleared one', async () => {
      const { store } = openStore()
      const other = openStore({ cache: openCache() }).store
      for (let round = 0; round < 10; round++) {
        await store.set(`${round}`, sessionOf())
        const slow = await hold(other, `${round}`)
        await (round % 2 === 0 ? store.destroy(`${round}`) : store.clear())
        await other.set(`${round}`, Object.assign(slow.session, { n: 1 }))
        expect([await other.get(`${round}`), await store.get(`${round}`)]).toEqual([undefined, undefined])
      }
    })

    it('make a session again that was evicted', async () => {
      const { store, cache } = openStore()
      await store.set('a', { ...sessionOf(), n: 1 } as never)
      const { session } = await hold(store, 'a')
      await cache.client.delete('session:a')
      await store.set('a', Object.assign(session, { m: 2 }))
      expect(await store.get('a')).toMatchObject({ n: 1, m: 2 })
    })

    it('keep the lifetime that another request has set', async () => {
      const { store, cache } = openStore({ ttlSeconds: 1000 })
      await store.set('a', sessionOf({ maxAge: 1_000_000 }))
      const [remembering, writing] = [await hold(store, 'a'), await hold(store, 'a')]
      remembering.session.cookie.maxAge = 31 * DAY_SECONDS * 1000
      await store.touch('a', remembering.session)
      writing.session.cookie.maxAge = writing.session.cookie.originalMaxAge!
      await store.set('a', Object.assign(writing.session, { n: 1 }))
      expect(await secondsLeft(cache, 'a')).toBeGreaterThan(30 * DAY_SECONDS)
      expect(await store.get('a')).toMatchObject({ n: 1 })
    })
  })

  describe('clearing', () => {
    it('is of this store’s sessions alone, and seen by every process at once', async () => {
      const { store, cache } = openStore()
      const other = openStore({ cache: openCache() }).store
      const neighbour = openStore({ cache: openCache('neighbour') }).store
      await cache.client.set('session-of-mine', 'kept', 100)
      await neighbour.set('a', sessionOf())
      await store.set('a', sessionOf())
      expect(await other.get('a')).toBeDefined()
      await store.clear()
      expect([await other.get('a'), await store.get('a'), await other.length()]).toEqual([undefined, undefined, 0])
      expect(await cache.client.get('session-of-mine')).toBe('kept')
      expect([await neighbour.get('a'), await neighbour.length()]).toMatchObject([{}, 1])
      // Who has not heard of it yet neither loses what is new, nor hides it.
      await other.set('b', sessionOf())
      expect([await store.get('b'), await other.get('b')]).toMatchObject([{}, {}])
      await store.set('c', sessionOf())
      expect(await other.get('c')).toBeDefined()
      await other.destroy('b')
      expect(await store.get('b')).toBeUndefined()
    })
  })

  describe('hostile and large input', () => {
    it.each([
      'a'.repeat(300),
      'a b',
      'a\r\nset b 0 0 1\r\nx\r\n',
      'é☂',
      '__proto__',
      'constructor',
      ':generation',
      'x:y',
      '%0d%0a',
      '',
    ])('id %j is one like any other', async (id) => {
      const { store } = openStore()
      await store.set('decoy', { ...sessionOf(), n: 0 } as never)
      await store.set(id, { ...sessionOf(), n: 1 } as never)
      expect(await store.get(id)).toMatchObject({ n: 1 })
      expect(await store.length()).toBe(2)
      await store.destroy(id)
      expect(await store.get(id)).toBeUndefined()
      expect(await store.get('decoy')).toMatchObject({ n: 0 })
    })

    it('is restored unchanged, and changes no prototype', async () => {
      const { store } = openStore()
      const evil = JSON.parse(
        '{"cookie":{},"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"$":[1],"a":{"$":["date","x"]}}',
      )
      await store.set('a', evil)
      const read = await store.get('a')
      expect(JSON.stringify(read)).toBe(JSON.stringify(evil))
      const [mine, theirs] = [await hold(store, 'a'), await hold(store, 'a')]
      await store.set('a', Object.assign(theirs.session, { theirs: 1 }))
      await store.set('a', Object.assign(mine.session, { mine: 1 }))
      expect(await store.get('a')).toMatchObject({ mine: 1, theirs: 1 })
      expect(({} as { polluted?: number }).polluted).toBeUndefined()
    })

    it('that cannot be JSON is one error with the reason', async () => {
      const { store } = openStore()
      const circular: Record<string, unknown> = { ...sessionOf() }
      circular['self'] = circular
      await expect(store.set('a', circular as never)).rejects.toMatchObject({
        code: 'ERR_MEMCACHE_OPTION',
        message: expect.stringMatching(/^the session cannot be stored as JSON \(Converting circular/),
      })
      await expect(store.set('a', { ...sessionOf(), big: 1n } as never)).rejects.toThrow('BigInt')
    })

    it.each([
      ['plain', undefined],
      ['encrypted', KEY],
    ])('over the item limit is compressed and split, and merged all the same: %s', async (_, encryptionKeys) => {
      const { store, cache } = openStore(encryptionKeys === undefined ? {} : { encryptionKeys })
      const random = Buffer.from(Array.from({ length: 2_000_000 }, () => Math.random() * 256)).toString('latin1')
      await store.set('a', { ...sessionOf(), random, same: 'x'.repeat(3_000_000) } as never)
      const [mine, theirs] = [await hold(store, 'a'), await hold(store, 'a')]
      await store.touch('a', mine.session)
      await store.set('a', Object.assign(theirs.session, { theirs: 1 }))
      await store.set('a', Object.assign(mine.session, { mine: 1 }))
      const read = (await store.get('a')) as unknown as Record<string, unknown>
      expect([read['theirs'], read['mine'], read['random'] === random]).toEqual([1, 1, true])
      // A chunk is lost, and with it the session: the next write starts a new one instead of failing forever.
      const { session } = await hold(store, 'a')
      const chunks: string[] = []
      await cache.client.metadump(({ key }) => {
        if (key.startsWith('app:chunk:')) chunks.push(key.slice('app:'.length))
      })
      await Promise.all(chunks.map((key) => cache.client.delete(key)))
      expect(await store.get('a')).toBeUndefined()
      await store.set('a', Object.assign(session, { again: 1 }))
      expect(await store.get('a')).toMatchObject({ again: 1, mine: 1 })
    })

    it('compresses well enough to be one item', async () => {
      const { store, cache } = openStore()
      const same = 'x'.repeat(3_000_000)
      await store.set('a', { ...sessionOf(), same } as never)
      const keys: string[] = []
      await cache.client.metadump(({ key }) => keys.push(key))
      expect(keys).toEqual(['app:session:a'])
      expect(((await store.get('a')) as unknown as { same: string }).same === same).toBe(true)
    })
  })

  describe('encryption at rest', () => {
    it('encrypts stored sessions, and decrypts them by any of the keys', async () => {
      const { store, cache } = openStore({ encryptionKeys: OTHER_KEY })
      await store.set('a', { ...sessionOf(), word: 'swordfish' } as never)
      const bytes = await cache.client.get<Buffer>('session:a')
      expect(Buffer.isBuffer(bytes) && !bytes.includes('swordfish')).toBe(true)
      const rotated = openStore({ encryptionKeys: [KEY, OTHER_KEY], cache }).store
      const { session } = await hold(rotated, 'a')
      expect(session).toMatchObject({ word: 'swordfish' })
      await rotated.set('a', Object.assign(session, { n: 1 }))
      // It was sealed by the new key, which the old process does not have.
      expect(await openStore({ encryptionKeys: KEY, cache }).store.get('a')).toMatchObject({ n: 1 })
      expect(await store.get('a')).toBeUndefined()
      expect(await rotated.all()).toMatchObject([{ id: 'a', word: 'swordfish', n: 1 }])
    })

    it('does not overwrite a session that another process has encrypted by an unknown key', async () => {
      const { store, cache } = openStore({ encryptionKeys: OTHER_KEY })
      await store.set('a', sessionOf())
      const { session } = await hold(store, 'a')
      const rotated = openStore({ encryptionKeys: [KEY, OTHER_KEY], cache }).store
      await rotated.set('a', Object.assign((await hold(rotated, 'a')).session, { n: 1 }))
      await expect(store.set('a', Object.assign(session, { m: 1 }))).rejects.toMatchObject({
        code: 'ERR_MEMCACHE_DECODE',
      })
      expect(await rotated.get('a')).toMatchObject({ n: 1 })
    })

    it('takes nothing that was changed, moved to another id, or never sealed', async () => {
      const { store, cache } = openStore({ encryptionKeys: KEY })
      await store.set('victim', { ...sessionOf(), user: 'victim' } as never)
      await store.set('admin', { ...sessionOf(), user: 'admin' } as never)
      const client = cache.client
      const sealed = (await client.get<Buffer>('session:admin'))!
      await client.set('session:victim', sealed, 100)
      expect(await store.get('victim')).toBeUndefined()
      for (const at of [0, 1, 6, 20, sealed.length - 1]) {
        const changed = Buffer.from(sealed)
        changed[at]! ^= 1
        await client.set('session:admin', changed, 100)
        expect(await store.get('admin')).toBeUndefined()
      }
      await client.set('session:admin', sealed.subarray(0, 10), 100)
      expect(await store.get('admin')).toBeUndefined()
      await client.set('session:admin', { cookie: {}, user: 'admin' }, 100)
      expect(await store.get('admin')).toBeUndefined()
      expect(await openStore({ cache }).store.get('victim')).toBeUndefined()
    })
  })

  describe('round trips', () => {
    it('is one for a request that only reads, and the life of its session is lengthened', async () => {
      const cache = openCache()
      const app = express()
      app.use(memcacheSession({ cache, secret: 's', cookie: { maxAge: 100_000 } }))
      app.get('/in', (req, res) => res.json(Object.assign(req.session, { in: true })))
      app.get('/', (req, res) => res.json({ in: 'in' in req.session }))
      await using http = await listen(app)
      const { headers } = await request(http).get('/in').expect(200)
      const cookie = headers['set-cookie']![0]!.split(';')[0]!
      const id = decodeURIComponent(cookie.split('=')[1]!).slice(2).split('.')[0]!
      await cache.client.touch(`session:${id}`, 50)
      const operations = await operationsDuring(() => request(http).get('/').set('Cookie', cookie).expect({ in: true }))
      expect(operations).toEqual(['meta.get'])
      expect(await secondsLeft(cache, id)).toBeGreaterThan(90)
    })

    it('are not more with touchAfterSeconds, until that has passed', async () => {
      const { store, cache } = openStore({ ttlSeconds: 1000, touchAfterSeconds: 60 })
      await store.set('a', sessionOf())
      const touch = async (): Promise<void> => {
        const { session } = await hold(store, 'a')
        await store.touch('a', session)
      }
      expect(await operationsDuring(touch)).toEqual(['meta.get'])
      await cache.client.touch('session:a', 950)
      expect(await operationsDuring(touch)).toEqual(['meta.get'])
      await cache.client.touch('session:a', 930)
      expect(await operationsDuring(touch)).toEqual(['meta.get', 'meta.get'])
      expect(await secondsLeft(cache, 'a')).toBeGreaterThan(990)
    })
  })
}

/** express-session's Cookie takes options that its types do not have. */
const CookieWith = Cookie as unknown as new (options: CookieOptions) => Cookie

/** A session with nothing in it but a cookie; `expires` is set last, as an application does it. */
function sessionOf({ expires, ...options }: CookieOptions & { expires?: Date } = {}): SessionData {
  const cookie = new CookieWith(options)
  if (expires !== undefined) cookie.expires = expires
  return { cookie } as SessionData
}

/** A session as a request holds it. */
async function hold(store: MemcacheStore, id: string): Promise<{ store: MemcacheStore; session: SessionData }> {
  const data = (await store.get(id))!
  return { store, session: store.createSession({ sessionID: id, sessionStore: store } as never, data) }
}

/** The client's operations during a task. */
async function operationsDuring(task: () => PromiseLike<unknown>): Promise<string[]> {
  const operations: string[] = []
  const told = (message: unknown): void => void operations.push((message as { operation: string }).operation)
  const channel = 'tracing:memcache-ts-client:operation:start'
  subscribe(channel, told)
  await task()
  unsubscribe(channel, told)
  return operations
}
