import fc from 'fast-check'
import { hashKey, Uint64 } from 'memcache-ts-protocol'
import { describe, expect, it } from 'vitest'
import { ItemFlag } from '../src/store/item-layout.ts'
import { ItemStore, OUT_OF_MEMORY, TOO_LARGE } from '../src/store/item-store.ts'
import { slabClassSizes } from '../src/store/slab-classes.ts'

const MIB = 1024 * 1024

/** The store by whole keys and values, as tests speak of it. */
class Driver {
  readonly store: ItemStore

  constructor(memoryLimitBytes: number, evict = true) {
    this.store = new ItemStore({ memoryLimitBytes, itemMaxBytes: MIB, evict })
  }

  reserve(key: string, length: number, clientFlags = 0, exptime = 0): number {
    const bytes = Buffer.from(key)
    return this.store.reserve(bytes, 0, bytes.length, hashKey(bytes, 0, bytes.length), clientFlags, exptime, length)
  }

  /** Writes the value in pieces, as it comes from a network. */
  set(key: string, value: Buffer, exptime = 0, pieceBytes = 10_000): boolean {
    const item = this.reserve(key, value.length, 0, exptime)
    if (item === OUT_OF_MEMORY || item === TOO_LARGE) return false
    for (let at = 0; at < value.length; at += pieceBytes) {
      if (!this.store.write(item, at, value, at, Math.min(value.length, at + pieceBytes))) {
        this.store.release(item)
        return false
      }
    }
    this.store.link(item)
    return true
  }

  find(key: string): number {
    const bytes = Buffer.from(`..${key}`)
    return this.store.find(bytes, 2, bytes.length - 2, hashKey(bytes, 2, bytes.length - 2))
  }

  get(key: string): Buffer | undefined {
    const item = this.find(key)
    return item === 0 ? undefined : Buffer.concat(this.store.valueSlices(item))
  }

  delete(key: string): boolean {
    const item = this.find(key)
    if (item !== 0) this.store.unlink(item)
    return item !== 0
  }

  /** Chunks that are given out must be those that items hold: nothing leaks, nothing is freed twice. */
  usedChunks(): number {
    return this.store.slabs.classes.reduce((sum, slabClass) => sum + slabClass.usedChunks, 0)
  }
}

/** A value that tells whose it is in every part. */
function valueOf(key: string, length: number): Buffer {
  return Buffer.alloc(length, `${key}#${length};`)
}

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
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
)

describe('ItemStore', () => {
  it.each([4, 64])('behaves as a Map that may forget, with %d MiB', (megabytes) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const driver = new Driver(megabytes * MIB)
        const model = new Map<string, { value: Buffer; end: number }>()
        for (const action of steps) {
          const { store } = driver
          if (action.do === 'wait') {
            store.now += action.seconds
          } else if (action.do === 'flush') {
            store.flush()
            model.clear()
          } else if (action.do === 'abandon') {
            const item = driver.reserve(action.key, action.length)
            if (item > 0) store.release(item)
          } else if (action.do === 'delete') {
            driver.delete(action.key)
            model.delete(action.key)
          } else if (action.do === 'set') {
            const value = valueOf(action.key, action.length)
            const end = action.ttl === 0 ? Infinity : store.now + action.ttl
            const stored = driver.set(action.key, value, action.ttl === 0 ? 0 : end)
            if (stored) model.set(action.key, { value, end })
            if (megabytes === 64) expect(stored).toBe(true)
          } else {
            const found = driver.get(action.key)
            const expected = model.get(action.key)
            const alive = expected !== undefined && store.now < expected.end
            // It may forget what it had to evict; it may never make something up.
            if (found !== undefined) expect(alive && expected.value.equals(found)).toBe(true)
            else if (megabytes === 64) expect(alive).toBe(false)
          }
          expect(store.slabs.pages).toBeLessThanOrEqual(megabytes)
        }
        for (const name of model.keys()) driver.delete(name)
        for (let number = 0; number <= 30; number++) driver.delete(`key:${number}`)
        expect(driver.store.counters).toMatchObject({ currItems: 0, bytes: 0 })
        expect(driver.usedChunks()).toBe(0)
      }),
      { numRuns: 60 },
    )
  })

  it('evicts the longest unused when memory is full', () => {
    const driver = new Driver(2 * MIB)
    const value = valueOf('x', 1000)
    let count = 0
    while (driver.store.counters.evictions === 0) driver.set(`key:${count++}`, value)
    expect(driver.get('key:0')).toBeUndefined()
    expect(driver.get('key:1')?.equals(value)).toBe(true)
    // Used again after a minute, it goes to the front, and others go first.
    driver.store.now += 60
    driver.store.fetched(driver.find('key:1'))
    for (let more = 0; more < 10; more++) driver.set(`more:${more}`, value)
    expect(driver.get('key:1')?.equals(value)).toBe(true)
    expect(driver.get('key:2')).toBeUndefined()
  })

  it('refuses instead of evicting when told so', () => {
    const driver = new Driver(2 * MIB, false)
    const value = valueOf('x', 100_000)
    let count = 0
    while (driver.set(`key:${count}`, value)) count++
    expect(count).toBeGreaterThan(10)
    expect(driver.store.counters.evictions).toBe(0)
    for (let index = 0; index < count; index++) expect(driver.get(`key:${index}`)?.equals(value)).toBe(true)
  })

  it('gives pages to another size when the load shifts', () => {
    const driver = new Driver(4 * MIB)
    for (let index = 0; index < 60_000; index++) driver.set(`small:${index}`, Buffer.from('x'))
    expect(driver.store.slabs.pages).toBe(4)
    for (let index = 0; index < 20; index++) {
      expect(driver.set(`large:${index}`, valueOf(`large:${index}`, 300_000))).toBe(true)
      expect(driver.get(`large:${index}`)?.equals(valueOf(`large:${index}`, 300_000))).toBe(true)
    }
    expect(driver.store.slabs.pages).toBe(4)
    expect(driver.store.counters.pagesMoved).toBeGreaterThan(0)
  })

  it('keeps the bytes of a pinned item until it is unpinned', () => {
    const driver = new Driver(2 * MIB)
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
    const driver = new Driver(64 * MIB)
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

  it('says too large from the item limit on', () => {
    const driver = new Driver(64 * MIB)
    expect(driver.reserve('b', MIB)).toBe(TOO_LARGE)
    expect(driver.reserve('b', MIB - 60)).toBeGreaterThan(0)
  })

  it('gives rising cas uniques, and takes a given one', () => {
    const driver = new Driver(2 * MIB)
    const cas = new Uint64()
    driver.set('a', Buffer.from('1'))
    const first = driver.store.readCas(driver.find('a'), cas).toBigInt()
    driver.set('a', Buffer.from('2'))
    expect(driver.store.readCas(driver.find('a'), cas).toBigInt()).toBeGreaterThan(first)
    cas.setBigInt(2n ** 64n - 1n)
    driver.store.setCas(driver.find('a'), cas)
    expect(driver.store.readCas(driver.find('a'), new Uint64()).toBigInt()).toBe(2n ** 64n - 1n)
  })

  it('keeps flags of an item apart from its key’s length and class', () => {
    const driver = new Driver(2 * MIB)
    driver.set('k'.repeat(250), Buffer.from('v'))
    const item = driver.find('k'.repeat(250))
    driver.store.setFlag(item, ItemFlag.stale)
    expect(driver.store.keyLength(item)).toBe(250)
    expect(driver.store.hasFlag(item, ItemFlag.stale)).toBe(true)
    driver.store.clearFlag(item, ItemFlag.stale)
    expect(driver.store.hasFlag(item, ItemFlag.stale)).toBe(false)
  })
})

describe('slabClassSizes', () => {
  it('makes memcached’s classes', () => {
    const sizes = slabClassSizes()
    expect(sizes.slice(1, 8)).toEqual([96, 120, 152, 192, 240, 304, 384])
    expect(sizes[31]).toBe(82_792)
    expect(sizes.at(-1)).toBe(524_288)
    expect(sizes.length - 1).toBe(39)
  })
})
