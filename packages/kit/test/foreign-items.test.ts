import { describe, expect, it } from 'vitest'
import { concurrency, defineCache, rateLimiter } from '../src/index.ts'
import type { Memcache } from '../src/index.ts'
import { MemcacheStore } from '../src/session/index.ts'
import { testMemcache } from '../src/testing/index.ts'
import { storeForeign } from './store-foreign.ts'

/** Everything that the kit stores, by what an application does; each returns what it gets. */
const USES: Record<string, (cache: Memcache) => Promise<unknown>> = {
  'values with tags': async (cache) => {
    const loaded = await cache.getOrSet('k', () => ['v'], { tags: ['t'] })
    await cache.set('k', loaded, { tags: ['t'] })
    const stored = await cache.get('k')
    return [stored, await cache.invalidateTags('t'), await cache.get('k')]
  },
  namespaces: async (cache) => {
    const names = cache.namespace('n')
    await names.set('k', 'v')
    const many = await names.getOrSetMany(['k', 'm'], (ids) => ids.map(() => 'v'))
    return [[...many], await names.clear(), await names.get('k')]
  },
  'a lock': async (cache) => {
    const lock = await cache.lock('l')
    return [lock !== undefined, await cache.lock('l'), await lock?.extend(), await lock?.release()]
  },
  'hot keys': async (cache) => {
    const values = defineCache({ name: 'hot', cache, hotKeys: 3, load: async (id: number) => id })
    await values.getOrSet(1)
    return values.hotKeys()
  },
  concurrency: async (cache) => {
    const limit = concurrency({ name: 'slots', max: 1, cache })
    const slots = [await limit.tryAcquire('id'), await limit.tryAcquire('id')]
    await slots[0]?.release()
    return slots.map((slot) => slot !== undefined)
  },
  sessions: async (cache) => {
    const store = new MemcacheStore({ cache, userId: ({ user }) => user as string })
    await store.set('sid', { cookie: {}, user: 'ann' })
    const read = await store.get('sid')
    const ofUser = (await store.sessionsOf('ann')).length
    await store.set('other', { cookie: {}, user: 'ann' })
    return [read?.['user'], ofUser, await store.destroySessionsOf('ann'), await store.get('sid')]
  },
  'a lock on a session': async (cache) => {
    const store = new MemcacheStore({ cache })
    const lock = await store.lock('sid', { waitMs: 0 })
    await expect(store.lock('sid', { waitMs: 0 })).rejects.toThrow('another request has locked')
    await lock.release()
  },
}
for (const algorithm of ['sliding', 'fixed', 'gcra'] as const) {
  USES[`a limit: ${algorithm}`] = async (cache) => {
    const options = { name: 'r', limit: 3, windowMs: 600_000, algorithm, cache }
    const limit = rateLimiter(options)
    await limit.reset('id')
    const allowed: boolean[] = []
    for (let call = 0; call < 4; call++) allowed.push((await limit.consume('id')).allowed)
    await limit.reward('id', 1)
    const { remaining } = await limit.peek('id')
    // Counted for all processes, not in this one.
    const another = await rateLimiter(options).peek('id')
    await limit.block('id', 60_000)
    const blocked = (await rateLimiter(options).consume('id')).allowed
    return [allowed, remaining, another.remaining, blocked]
  }
}

const BODIES = ['', 'x', '{}', '[[1]]', '[1,0,0,{"~tag:x":1}]\nx', '18446744073709551615']
const TYPES = [0, 1, 2, 3, 5, 8, 16, 48, 1_296_236_549, 2 ** 32 - 1]
const GARBAGE = TYPES.flatMap((clientFlags) => BODIES.map((bytes) => [clientFlags, bytes] as const))

/** Returns whether a key is one that the application has chosen: any value that can be read there is believed. */
const isOfApplication = (key: string): boolean => !key.startsWith('~') && !key.startsWith('session:')

/** Keys that are deleted again before the end of a use. */
const DELETED_KEYS: Readonly<Record<string, string>> = {
  'a lock': '~mutex::l',
  'a lock on a session': 'session::lock:sid',
}

describe('an item that another program has stored under a key of the kit', () => {
  it('is no lease if it is empty and lives long, so that no caller waits for it', async () => {
    for (const exptime of [0, 60, 3600]) {
      await using test = await testMemcache()
      await storeForeign(test.server, 'k', { clientFlags: 0, bytes: '', exptime })
      const { leasesLost } = test.cache.stats()
      expect(await test.cache.getOrSet('k', () => 'loaded')).toBe('loaded')
      expect(await test.cache.get('k')).toBe('loaded')
      expect(test.cache.stats().leasesLost).toBe(leasesLost)
    }
  })

  it.each(Object.keys(USES))('counts as none and is replaced: %s', async (name) => {
    const use = USES[name]!
    await using clean = await testMemcache()
    const wanted = await use(clean.cache)
    const keys = new Set(DELETED_KEYS[name] === undefined ? [] : [DELETED_KEYS[name]])
    await clean.cache.client.metadump(({ key }) => void (isOfApplication(key) || keys.add(key)))
    expect(keys.size).toBeGreaterThan(0)
    for (const key of keys) {
      for (const [clientFlags, bytes] of GARBAGE) {
        const told: string[] = []
        await using test = await testMemcache({ logger: { info() {}, warn: (message) => told.push(message) } })
        await storeForeign(test.server, key, { clientFlags, bytes })
        const about = { key, clientFlags, bytes }
        expect({ ...about, got: await use(test.cache) }).toEqual({ ...about, got: wanted })
        expect({ ...about, told: told.filter((message) => message.includes('away')) }).toEqual({ ...about, told: [] })
      }
    }
  })
})
