import { Cookie } from 'express-session'
import type { SessionData } from 'express-session'
import { freePort } from 'memcache-ts-testing'
import { memcache, MemcacheOptionError } from 'memcache-ts'
import { describe, expect, it, vi } from 'vitest'
import { MemcacheStore } from '../src/index.ts'
import type { MemcacheStoreOptions } from '../src/index.ts'
import { TestFleet } from './open-app.ts'

function session(views: number): SessionData {
  return { cookie: new Cookie(), views } as SessionData
}

describe('MemcacheStore', () => {
  it('extends sessions at each visit, also if they are only read', async () => {
    await using fleet = new TestFleet()
    const cache = fleet.cache()
    const store = new MemcacheStore({ cache, ttlSeconds: 100 })
    const secondsLeft = async (id: string) => (await cache.client.meta.get(`session:${id}`))?.ttlSeconds
    await store.set('read', session(1))
    await store.set('touched', session(1))
    await store.set('neither', session(1))
    fleet.clock.advanceSeconds(60)
    await store.get('read')
    await store.touch('touched', session(1))
    expect([await secondsLeft('read'), await secondsLeft('touched'), await secondsLeft('neither')]).toEqual([
      100, 100, 40,
    ])
    expect(await store.length()).toBe(3)
    fleet.clock.advanceSeconds(60)
    expect(await store.get('neither')).toBeUndefined()
    expect((await store.ids()).sort()).toEqual(['read', 'touched'])
  })

  it('touch() calls back immediately if reading has already extended the lifetime', async () => {
    await using fleet = new TestFleet()
    const store = new MemcacheStore({ cache: fleet.cache() })
    await store.set('a', session(1))
    const held = store.createSession({ sessionID: 'a' } as never, (await store.get('a'))!)
    const before = fleet.server.stats()
    let called = false
    store.touch('a', held, () => (called = true))
    expect(called).toBe(true)
    expect(fleet.server.stats()['cmd_touch']).toBe(before['cmd_touch'])
  })

  it.each([0, 60])(
    'keeps sessions on a server without meta commands too, with touchAfterSeconds %d',
    async (seconds) => {
      await using fleet = new TestFleet({ withoutMeta: true })
      const cache = fleet.cache()
      const store = new MemcacheStore({ cache, ttlSeconds: 100, touchAfterSeconds: seconds })
      await store.set('a', session(1))
      for (let visit = 0; visit < 3; visit++) {
        fleet.clock.advanceSeconds(70)
        const held = store.createSession({ sessionID: 'a' } as never, (await store.get('a'))!)
        await store.touch('a', held)
        await store.set('a', Object.assign(held, { [`k${visit}`]: 1 }))
      }
      fleet.clock.advanceSeconds(70)
      const held = store.createSession({ sessionID: 'a' } as never, (await store.get('a'))!)
      await store.touch('a', held)
      fleet.clock.advanceSeconds(70)
      expect(await store.get('a')).toMatchObject({ views: 1, k0: 1, k1: 1, k2: 1 })
      await store.destroy('a')
      expect(await store.get('a')).toBeUndefined()
      expect(await store.length()).toBe(0)
    },
  )

  it('passes an error to the callback, and causes no unhandled rejection without one', async () => {
    await using cache = memcache({ servers: `127.0.0.1:${await freePort()}`, logger: false })
    const store = new MemcacheStore({ cache })
    void store.touch('a', session(1))
    void store.destroy('a')
    const told = vi.fn<(error: unknown) => void>()
    await new Promise<void>((resolve) => {
      store.set('a', session(1), (error) => {
        told(error)
        resolve()
      })
    })
    expect(told.mock.calls).toEqual([[expect.objectContaining({ code: 'ERR_MEMCACHE_CONNECTION' })]])
  })

  it.each<[object, string]>([
    [{ ttlSeconds: Infinity }, 'a session must end'],
    [{ ttlSeconds: 0 }, 'ttlSeconds must be greater than 0'],
    [{ touchAfterSeconds: -1 }, 'touchAfterSeconds must be at least 0 and less'],
    [{ touchAfterSeconds: '5m' }, 'touchAfterSeconds must be at least 0 and less'],
    [{ touchAfter: 5 }, '`touchAfter` is `touchAfterSeconds` here'],
    [{ crypto: { secret: 's' } }, '`crypto` is `encryptionKeys` here'],
    [{ encryptionKeys: 'short' }, 'must have at least 32 characters'],
    [{ encryptionKeys: [] }, 'encryptionKeys is set but holds no key'],
  ])('refuses %j: %s', (options, message) => {
    expect(() => new MemcacheStore(options as MemcacheStoreOptions)).toThrow(MemcacheOptionError)
    expect(() => new MemcacheStore(options as MemcacheStoreOptions)).toThrow(message)
  })
})
