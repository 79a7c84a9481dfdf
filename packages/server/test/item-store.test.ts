import fc from 'fast-check'
import { Uint64 } from 'memcache-ts-protocol'
import { describe, expect, it } from 'vitest'
import { ItemFlag } from '../src/store/item-layout.ts'
import { TOO_LARGE } from '../src/store/item-store.ts'
import { ListCrawl, ALL_LISTS, reclaimDead } from '../src/store/lru-crawler.ts'
import { LruMaintainer } from '../src/store/lru-maintainer.ts'
import { total } from '../src/store/store-statistics.ts'
import { PageMover } from '../src/store/page-mover.ts'
import { slabClassSizes } from '../src/store/slab-classes.ts'
import { DEFAULT_STORE_SETTINGS } from '../src/store/store-settings.ts'
import { MIB, StoreDriver, valueOf } from './store-driver.ts'

const key = fc.integer({ min: 0, max: 30 }).map((number) => `key:${number}`)
const length = fc.oneof(
  fc.integer({ min: 0, max: 200 }),
  fc.integer({ min: 200, max: 20_000 }),
  fc.integer({ min: 400_000, max: MIB - 200 }),
)
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('set' as const), key, length, ttl: fc.integer({ min: 0, max: 5 }) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('get' as const), key }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abandon' as const), key, length }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pin' as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('maintain' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crawl' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('move' as const), evicts: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('limit' as const), megabytes: fc.integer({ min: 2, max: 8 }) }) },
)

/** Moves a page of any class that has two to the pool, as far as it goes without waiting. */
function movePage(mover: PageMover, evicts: boolean): void {
  mover.order({ source: -1, target: 0, evicts })
  for (let steps = 0; steps < 50; steps++) mover.step()
}

describe('ItemStore', () => {
  it.each([
    [4, true],
    [4, false],
    [64, true],
  ])('behaves as a Map that may forget, with %d MiB, segmented: %s', (megabytes, lruSegmented) => {
    const roomy = megabytes === 64
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const driver = new StoreDriver(megabytes * MIB, { lruSegmented })
        const maintainer = new LruMaintainer(driver.store)
        const mover = new PageMover(driver.store)
        const model = new Map<string, { value: Buffer; end: number }>()
        const pins: { item: number; value: Buffer; slices: Buffer[] }[] = []
        let limit = megabytes
        for (const action of steps) {
          const { store } = driver
          switch (action.do) {
            case 'wait':
              store.now += action.seconds
              break
            case 'flush':
              store.flush()
              model.clear()
              break
            case 'abandon': {
              const item = driver.reserve(action.key, action.length)
              if (item > 0) store.release(item)
              break
            }
            case 'delete':
              driver.delete(action.key)
              model.delete(action.key)
              break
            case 'pin': {
              const item = driver.find(action.key)
              if (item === 0) break
              store.pin(item)
              pins.push({ item, value: model.get(action.key)!.value, slices: store.valueSlices(item) })
              break
            }
            case 'maintain':
              maintainer.step()
              break
            case 'crawl': {
              const crawl = new ListCrawl(store, {
                lists: ALL_LISTS,
                maxItems: 0,
                visit: (item, list) => void reclaimDead(store, item, list),
              })
              while (crawl.step(10));
              break
            }
            case 'move':
              movePage(mover, action.evicts && !roomy)
              break
            case 'limit':
              if (roomy) break
              limit = action.megabytes
              store.setMemoryLimit(limit * MIB)
              break
            case 'set': {
              const value = valueOf(action.key, action.length)
              const end = action.ttl === 0 ? Infinity : store.now + action.ttl
              const stored = driver.set(action.key, value, action.ttl === 0 ? 0 : end)
              if (stored) model.set(action.key, { value, end })
              if (roomy) expect(stored).toBe(true)
              break
            }
            case 'get': {
              const found = driver.get(action.key)
              const expected = model.get(action.key)
              const alive = expected !== undefined && store.now < expected.end
              if (found !== undefined) driver.use(action.key, 1)
              // It may forget what it had to evict; it may never make something up.
              if (found !== undefined) expect(alive && expected.value.equals(found)).toBe(true)
              else if (roomy) expect(alive).toBe(false)
            }
          }
        }
        // What is being sent is what it was, wherever the item went meanwhile.
        for (const { item, value, slices } of pins) {
          expect(Buffer.concat(slices).equals(value)).toBe(true)
          driver.store.unpin(item)
        }
        for (let number = 0; number <= 30; number++) driver.delete(`key:${number}`)
        expect(driver.store.counters).toMatchObject({ currItems: 0, bytes: 0 })
        for (let steps = 0; steps < 50; steps++) mover.step()
        expect(driver.usedChunks()).toBe(0)
        expect(driver.lostChunks()).toBe(0)
      }),
      { numRuns: 60 },
    )
  })

  it('evicts the longest unused when memory is full', () => {
    const driver = new StoreDriver(2 * MIB, { lruSegmented: false })
    const value = valueOf('x', 1000)
    let count = 0
    while (total(driver.store.statistics.evicted) === 0) driver.set(`key:${count++}`, value)
    expect(driver.get('key:0')).toBeUndefined()
    expect(driver.get('key:1')?.equals(value)).toBe(true)
    // Used again after a minute, it goes to the front, and others go first.
    driver.store.now += 60
    driver.use('key:1', 1)
    for (let more = 0; more < 10; more++) driver.set(`more:${more}`, value)
    expect(driver.get('key:1')?.equals(value)).toBe(true)
    expect(driver.get('key:2')).toBeUndefined()
  })

  it('evicts as often as memcached with -m 3 and values of 66560 bytes (its issue 22)', () => {
    const driver = new StoreDriver(3 * MIB)
    for (let index = 0; index < 40; index++) driver.set(`key${index}`, valueOf('x', 66_560))
    expect(total(driver.store.statistics.evicted)).toBe(4)
    for (let index = 40; index < 80; index++) driver.set(`key${index}`, valueOf('x', 66_560))
    expect(total(driver.store.statistics.evicted)).toBe(44)
  })

  it('counts a large item by the class of its pieces, so that one large item makes room for another', () => {
    const driver = new StoreDriver(64 * MIB, { largestChunkBytes: MIB })
    for (let index = 0; index < 101; index++) expect(driver.set(`item_${index}`, valueOf('x', MIB - 250))).toBe(true)
    expect(total(driver.store.statistics.evicted)).toBe(37)
    const chained = new StoreDriver(8 * MIB)
    for (let index = 0; index < 50; index++) expect(chained.set(`item_${index}`, valueOf('x', 900_000))).toBe(true)
    expect(chained.get('item_49')?.equals(valueOf('x', 900_000))).toBe(true)
    expect(chained.store.counters.currItems).toBeGreaterThan(4)
  })

  it('refuses instead of evicting, with disableEvictions', () => {
    const driver = new StoreDriver(2 * MIB, { disableEvictions: true })
    const value = valueOf('x', 100_000)
    let count = 0
    while (driver.set(`key:${count}`, value)) count++
    expect(count).toBeGreaterThan(10)
    expect(total(driver.store.statistics.evicted)).toBe(0)
    for (let index = 0; index < count; index++) expect(driver.get(`key:${index}`)?.equals(value)).toBe(true)
  })

  it('gives a class its first page although memory is full, and never a second', () => {
    const driver = new StoreDriver(4 * MIB)
    for (let index = 0; index < 60_000; index++) driver.set(`small:${index}`, Buffer.from('x'))
    expect(driver.store.slabs.pages).toBe(4)
    for (let index = 0; index < 200; index++) {
      expect(driver.set(`large:${index}`, valueOf(`large:${index}`, 30_000))).toBe(true)
      expect(driver.get(`large:${index}`)?.equals(valueOf(`large:${index}`, 30_000))).toBe(true)
    }
    expect(driver.store.slabs.pages).toBe(5)
    expect(driver.store.slabs.excessPages).toBe(1)
  })

  it('keeps the bytes of a pinned item until it is unpinned', () => {
    const driver = new StoreDriver(2 * MIB)
    const value = valueOf('pinned', 100_000)
    driver.set('pinned', value)
    const item = driver.find('pinned')
    driver.store.pin(item)
    const slices = driver.store.valueSlices(item)
    driver.delete('pinned')
    for (let index = 0; index < 200; index++) driver.set(`other:${index}`, valueOf(`other:${index}`, 100_000))
    expect(Buffer.concat(slices).equals(value)).toBe(true)
    const used = driver.usedChunks()
    driver.store.unpin(item)
    expect(driver.usedChunks()).toBe(used - 1)
  })

  it('finds every item while its index grows step by step', () => {
    const driver = new StoreDriver(64 * MIB)
    const count = 250_000
    const powers = new Set<number>()
    for (let index = 0; index < count; index++) {
      driver.set(`k${index}`, Buffer.from(String(index)))
      powers.add(driver.store.index.power)
      if (index % 1000 === 0) expect(driver.get(`k${index >> 1}`)?.toString()).toBe(String(index >> 1))
    }
    expect([...powers]).toEqual([16, 17, 18])
    let missing = 0
    for (let index = 0; index < count; index++) if (driver.get(`k${index}`)?.toString() !== String(index)) missing++
    expect(missing).toBe(0)
  })

  it('responds with too large from the item limit on', () => {
    const driver = new StoreDriver(64 * MIB)
    expect(driver.reserve('b', MIB)).toBe(TOO_LARGE)
    expect(driver.reserve('b', MIB - 60)).toBeGreaterThan(0)
  })

  it('gives rising cas uniques, accepts a given one, and has none with disableCas', () => {
    const driver = new StoreDriver(2 * MIB)
    const cas = new Uint64()
    driver.set('a', Buffer.from('1'))
    const first = driver.store.readCas(driver.find('a'), cas).toBigInt()
    driver.set('a', Buffer.from('2'))
    expect(driver.store.readCas(driver.find('a'), cas).toBigInt()).toBeGreaterThan(first)
    cas.setBigInt(2n ** 64n - 1n)
    driver.store.setCas(driver.find('a'), cas)
    expect(driver.store.readCas(driver.find('a'), new Uint64()).toBigInt()).toBe(2n ** 64n - 1n)
    const without = new StoreDriver(2 * MIB, { cas: false })
    without.set('a', Buffer.from('1'))
    expect(without.store.readCas(without.find('a'), cas).toBigInt()).toBe(0n)
  })

  it('keeps flags of an item apart from its key’s length and class', () => {
    const driver = new StoreDriver(2 * MIB)
    driver.set('k'.repeat(250), Buffer.from('v'))
    const item = driver.find('k'.repeat(250))
    driver.store.setFlag(item, ItemFlag.stale)
    expect(driver.store.keyLength(item)).toBe(250)
    expect(driver.store.hasFlag(item, ItemFlag.stale)).toBe(true)
    driver.store.clearFlag(item, ItemFlag.stale)
    expect(driver.store.hasFlag(item, ItemFlag.stale)).toBe(false)
  })

  it('counts items by size, if enabled', () => {
    const driver = new StoreDriver(2 * MIB, { trackSizes: true })
    driver.set('a', Buffer.alloc(1))
    driver.set('b', Buffer.alloc(1))
    driver.set('c', Buffer.alloc(200))
    driver.delete('b')
    expect(driver.store.sizes?.entries()).toEqual([
      [64, 1],
      [288, 1],
    ])
  })
})

describe('slabClassSizes', () => {
  it('makes memcached’s classes', () => {
    const sizes = slabClassSizes(DEFAULT_STORE_SETTINGS)
    expect(sizes.slice(1, 8)).toEqual([96, 120, 152, 192, 240, 304, 384])
    expect(sizes[31]).toBe(82_792)
    expect(sizes.at(-1)).toBe(524_288)
    expect(sizes.length - 1).toBe(39)
  })

  it('makes them by a factor, a least size and a largest chunk', () => {
    expect(slabClassSizes({ ...DEFAULT_STORE_SETTINGS, growthFactor: 2, minItemBytes: 100 })).toEqual([
      0, 152, 304, 608, 1216, 2432, 4864, 9728, 19_456, 38_912, 77_824, 155_648, 524_288,
    ])
    expect(slabClassSizes({ ...DEFAULT_STORE_SETTINGS, slabSizes: [100, 200] })).toEqual([0, 104, 200, 524_288])
  })
})
