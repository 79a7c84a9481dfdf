import { promisify } from 'node:util'
import { Cookie } from 'express-session'
import type { SessionData } from 'express-session'
import { freePort } from 'memcache-ts-testing'
import { memcache } from 'memcache-ts'
import { describe, expect, it, vi } from 'vitest'
import { MemcacheStore } from '../src/index.ts'
import { TestFleet } from './open-app.ts'

/** The store as those call it who are not express-session, by promises. */
function open(fleet: TestFleet, ttlSeconds = 100) {
  const cache = fleet.cache()
  const store = new MemcacheStore({ cache, ttlSeconds })
  const get = (id: string) =>
    new Promise((resolve, reject) => store.get(id, (e, data) => (e ? reject(e) : resolve(data))))
  const set = promisify(store.set.bind(store)) as (id: string, session: SessionData) => Promise<void>
  const touch = promisify(store.touch.bind(store)) as (id: string, session: SessionData) => Promise<void>
  const destroy = promisify(store.destroy.bind(store)) as (id: string) => Promise<void>
  const secondsLeft = async (id: string) => (await cache.client.meta.get(['session', id]))?.ttlSeconds
  return { store, get, set, touch, destroy, secondsLeft }
}

function session(views: number, expires?: unknown): SessionData {
  const cookie = new Cookie()
  if (expires !== undefined) cookie.expires = expires as Date
  return { cookie, views } as SessionData
}

describe('MemcacheStore', () => {
  it('gets what was set last, and nothing where nothing is', async () => {
    await using fleet = new TestFleet()
    const { get, set } = open(fleet)
    expect(await get('a')).toBeUndefined()
    await set('a', session(1))
    await set('a', session(2))
    expect(await get('a')).toMatchObject({ views: 2, cookie: { path: '/', httpOnly: true } })
    expect(await get('b')).toBeUndefined()
  })

  it('gets nothing of a session that was destroyed, which is no error a second time', async () => {
    await using fleet = new TestFleet()
    const { get, set, destroy } = open(fleet)
    await set('a', session(1))
    await destroy('a')
    expect(await get('a')).toBeUndefined()
    await destroy('a')
    await destroy('never was')
  })

  it('keeps sessions as long as their cookie says, else for ttlSeconds, from each touch anew', async () => {
    await using fleet = new TestFleet()
    const { set, touch, secondsLeft } = open(fleet)
    const inMs = (milliseconds: number) => new Date(Date.now() + milliseconds)
    await set('without end', session(1))
    await set('no date', session(1, new Date(NaN)))
    await set('half a minute', session(1, inMs(29_500)))
    expect(await secondsLeft('without end')).toBe(100)
    expect(await secondsLeft('no date')).toBe(100)
    expect(await secondsLeft('half a minute')).toBe(30)
    fleet.clock.advanceSeconds(20)
    await touch('without end', session(1))
    expect(await secondsLeft('without end')).toBe(100)
    expect(await secondsLeft('no date')).toBe(80)
    // Over 30 days memcached takes a moment, not a length.
    const seconds = 400 * 86_400
    await touch('no date', session(1, inMs(seconds * 1000)))
    expect(Math.abs((await secondsLeft('no date'))! - seconds)).toBeLessThanOrEqual(1)
  })

  it('removes a session whose end is past', async () => {
    await using fleet = new TestFleet()
    const { get, set, touch } = open(fleet)
    await set('set', session(1))
    await set('set', session(2, new Date(Date.now() - 1)))
    await set('touched', session(1))
    await touch('touched', session(1, new Date(Date.now() - 1)))
    expect(await get('set')).toBeUndefined()
    expect(await get('touched')).toBeUndefined()
  })

  it('touches nothing into being', async () => {
    await using fleet = new TestFleet()
    const { get, touch } = open(fleet)
    await touch('a', session(1))
    expect(await get('a')).toBeUndefined()
  })

  it('tells a fault to the callback, and nobody where there is none', async () => {
    await using cache = memcache({ servers: `127.0.0.1:${await freePort()}`, logger: false })
    const store = new MemcacheStore({ cache })
    store.touch('a', session(1))
    store.destroy('a')
    const told = vi.fn<(error: unknown) => void>()
    await new Promise<void>((resolve) => store.set('a', session(1), (error) => (told(error), resolve())))
    expect(told.mock.calls).toEqual([[expect.objectContaining({ code: 'ERR_MEMCACHE_CONNECTION' })]])
  })

  it('tells what cannot be stored', async () => {
    await using fleet = new TestFleet()
    const { set } = open(fleet)
    await expect(set('a', { ...session(1), big: 1n } as never)).rejects.toThrow('BigInt')
  })

  it('keeps sessions over the item limit', async () => {
    await using fleet = new TestFleet()
    const { set, get } = open(fleet)
    const big = 'x'.repeat(2 * 1024 * 1024)
    await set('a', { ...session(1), big } as never)
    expect(((await get('a')) as unknown as { big: string }).big === big).toBe(true)
  })

  it('refuses sessions without an end', () => {
    expect(() => new MemcacheStore({ ttlSeconds: Infinity })).toThrow('a session must end')
  })
})
