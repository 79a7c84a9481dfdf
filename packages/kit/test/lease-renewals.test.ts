import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AdaptiveStore } from '../src/engine/store/adaptive-store.ts'
import type { CacheStore, Fetched } from '../src/engine/store/cache-store.ts'
import { ClassicStore } from '../src/engine/store/classic-store.ts'
import { openCache } from './open-cache.ts'
import type { TestCaches } from './open-cache.ts'

const LEASE_SECONDS = 10
const KEY = 'k'
const VALUE_SECONDS = 3600

let test: TestCaches
beforeEach(async () => {
  test = await openCache()
})
afterEach(() => test[Symbol.asyncDispose]())

type Use = <Result>(task: (store: CacheStore) => Promise<Result>) => Promise<Result>

const STORES: Record<string, () => Use> = {
  meta: () => {
    const store = new AdaptiveStore(test.cache.client, LEASE_SECONDS, console)
    return (task) => store.use(KEY, task)
  },
  classic: () => {
    const store = new ClassicStore(test.cache.client, LEASE_SECONDS)
    return (task) => task(store)
  },
}

function fetched(use: Use): Promise<Fetched> {
  return use((store) =>
    store.fetch<never>(KEY, { value: true }, (error) => {
      throw error
    }),
  )
}

async function leaseOf(use: Use): Promise<bigint> {
  const found = await fetched(use)
  if (found.kind !== 'miss-with-lease') throw new Error(`a ${found.kind} instead of a lease`)
  return found.casUnique
}

const stored = () => test.cache.client.set(KEY, 'of another process', VALUE_SECONDS)
const ttlSeconds = async () => (await test.cache.client.meta.get(KEY, { value: false }))?.ttlSeconds

describe.each(Object.keys(STORES))('the renewal of a lease by %s commands', (name) => {
  const renew = (use: Use, casUnique: bigint) => use((store) => store.renew({ key: KEY, casUnique, filled: false }))

  it('extends a lease that is held, which can then be filled', async () => {
    const use = STORES[name]!()
    const casUnique = await leaseOf(use)
    test.clock.advanceSeconds(LEASE_SECONDS - 1)
    const renewed = await renew(use, casUnique)
    test.clock.advanceSeconds(LEASE_SECONDS - 1)
    expect((await fetched(use)).kind).toBe('miss-locked')
    const item = { bytes: 'value', clientFlags: 0, size: 5 }
    const filled = await use((store) =>
      store.fill(KEY, { item, casUnique: renewed!, ttlSeconds: VALUE_SECONDS }, () => 'failed'),
    )
    expect(filled).toBeInstanceOf(Object)
  })

  it.each([
    ['was stored', stored],
    ['was deleted and stored', () => test.cache.client.delete(KEY).then(stored)],
  ])('leaves a value its lifetime that %s meanwhile', async (_, change) => {
    const use = STORES[name]!()
    const casUnique = await leaseOf(use)
    await change()
    expect(await renew(use, casUnique)).toBeUndefined()
    expect(await ttlSeconds()).toBeGreaterThan(VALUE_SECONDS - 60)
  })

  it('gives back no lease that was deleted, and takes none of another process', async () => {
    const use = STORES[name]!()
    const casUnique = await leaseOf(use)
    await test.cache.client.delete(KEY)
    expect(await renew(use, casUnique)).toBeUndefined()
    const later = await leaseOf(use)
    expect(await renew(use, casUnique)).toBeUndefined()
    expect(await renew(use, later)).toBeDefined()
  })
})

describe('the renewal of a claim on a stale value', () => {
  async function claimed(): Promise<{ use: Use; casUnique: bigint }> {
    const use = STORES['meta']!()
    await stored()
    await use((store) => store.markStale(KEY))
    const found = await fetched(use)
    if (found.kind !== 'found' || !found.claimed) throw new Error('the stale value was not claimed')
    return { use, casUnique: found.item.casUnique! }
  }
  const renew = (use: Use, casUnique: bigint) => use((store) => store.renew({ key: KEY, casUnique, filled: true }))

  it('keeps the claim', async () => {
    const { use, casUnique } = await claimed()
    expect(await renew(use, casUnique)).toBeDefined()
    expect(await fetched(use)).toMatchObject({ stale: true, claimed: false, lost: true })
  })

  it('leaves a new value as it is', async () => {
    const { use, casUnique } = await claimed()
    await stored()
    expect(await renew(use, casUnique)).toBeUndefined()
    expect(await fetched(use)).toMatchObject({ stale: false, claimed: false })
    expect(await ttlSeconds()).toBeGreaterThan(VALUE_SECONDS - 60)
  })

  // The load began before the invalidation, so its value must not be stored after it.
  it.each([
    ['marked stale again', async () => {}],
    [
      'replaced and marked stale',
      async () => {
        await stored()
      },
    ],
  ])('leaves the claim on a value that was %s to another caller', async (_, change) => {
    const { use, casUnique } = await claimed()
    await change()
    await use((store) => store.markStale(KEY))
    expect(await renew(use, casUnique)).toBeUndefined()
    expect(await fetched(use)).toMatchObject({ stale: true, claimed: true })
  })
})
