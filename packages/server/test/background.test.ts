import { describe, expect, it } from 'vitest'
import { Maintenance } from '../src/maintenance.ts'
import type { DumpVisitor } from '../src/maintenance.ts'
import { Segment } from '../src/store/item-layout.ts'
import { ALL_LISTS, HashCrawl, ITEMS_PER_STEP, ListCrawl } from '../src/store/lru-crawler.ts'
import { LruMaintainer } from '../src/store/lru-maintainer.ts'
import { total } from '../src/store/store-statistics.ts'
import { MoveOrder, PageMover } from '../src/store/page-mover.ts'
import { MIB, StoreDriver, valueOf } from './store-driver.ts'

/** Returns the LRU segment of an item's key. */
function segmentOf(driver: StoreDriver, key: string): number {
  return driver.store.listOf(driver.find(key)) & Segment.temp
}

function maintained(megabytes: number, settings = {}): { driver: StoreDriver; maintenance: Maintenance } {
  const driver = new StoreDriver(megabytes * MIB, settings)
  return {
    driver,
    maintenance: new Maintenance({ store: driver.store, lruMaintainer: true, tick: () => {}, report: () => {} }),
  }
}

function pass(driver: StoreDriver, maintenance: Maintenance, seconds: number): void {
  for (let second = 0; second < seconds; second++) {
    driver.store.now++
    for (let turn = 0; turn < 500 && maintenance.run() <= 10; turn++);
  }
}

function settle(step: () => number): void {
  for (let steps = 0; steps < 100 && step() > 0; steps++);
}

describe('LruMaintainer', () => {
  it('moves items of HOT above its share to COLD, and used ones to WARM', () => {
    const driver = new StoreDriver(8 * MIB)
    const maintainer = new LruMaintainer(driver.store)
    for (let index = 0; index < 100; index++) driver.set(`k${index}`, valueOf('v', 100))
    expect(segmentOf(driver, 'k0')).toBe(Segment.hot)
    driver.use('k1')
    settle(() => maintainer.step())
    expect(segmentOf(driver, 'k0')).toBe(Segment.cold)
    expect(segmentOf(driver, 'k1')).toBe(Segment.warm)
    expect(segmentOf(driver, 'k99')).toBe(Segment.hot)
    const { lru } = driver.store
    const id = driver.store.classOf(driver.find('k0'))
    // A fifth may be HOT, of what COLD and WARM hold together.
    expect(lru.size(id | Segment.hot)).toBeLessThanOrEqual(20)
    // From COLD the second fetch takes it to WARM at once.
    driver.use('k2')
    expect(segmentOf(driver, 'k2')).toBe(Segment.warm)
  })

  it('keeps used items through a flood of unused ones', () => {
    const driver = new StoreDriver(4 * MIB)
    const maintainer = new LruMaintainer(driver.store)
    const value = valueOf('v', 20_000)
    for (let index = 0; index < 150; index++) driver.set(`before${index}`, value)
    settle(() => maintainer.step())
    driver.set('canary', value)
    driver.use('canary')
    for (let index = 0; index < 1000; index++) {
      driver.set(`k${index}`, value)
      if (index % 20 === 0) settle(() => maintainer.step())
    }
    expect(total(driver.store.statistics.evicted)).toBeGreaterThan(700)
    expect(driver.get('canary')?.equals(value)).toBe(true)
  })

  it('evicts nothing from TEMP', () => {
    const driver = new StoreDriver(2 * MIB, { temporaryTtlSeconds: 61 })
    const value = valueOf('v', 60_000)
    driver.set('soon', value, driver.store.now + 30)
    for (let index = 0; index < 100; index++) driver.set(`k${index}`, value, driver.store.now + 3600)
    expect(segmentOf(driver, 'soon')).toBe(Segment.temp)
    driver.store.now += 31
    new LruMaintainer(driver.store).step()
    expect(driver.store.lru.size(driver.store.slabs.classFor(60_100) | Segment.temp)).toBe(0)
  })

  it('removes items that have been sent for too long from the tail, if enabled', () => {
    const driver = new StoreDriver(8 * MIB, { tailRepairSeconds: 10 })
    const maintainer = new LruMaintainer(driver.store)
    driver.set('stuck', valueOf('v', 100))
    const item = driver.find('stuck')
    driver.store.pin(item)
    driver.store.now += 10
    settle(() => maintainer.step())
    expect(driver.find('stuck')).toBe(item)
    driver.store.now += 1
    settle(() => maintainer.step())
    expect(driver.find('stuck')).toBe(0)
    expect(total(driver.store.statistics.tailRepairs)).toBe(1)
    expect(driver.usedChunks()).toBe(1)
    driver.store.unpin(item)
    expect(driver.usedChunks()).toBe(0)
  })

  it('moves a bounded number of items a step', () => {
    const driver = new StoreDriver(64 * MIB)
    const maintainer = new LruMaintainer(driver.store)
    for (let index = 0; index < 5000; index++) driver.set(`k${index}`, valueOf('v', 100))
    expect(maintainer.step()).toBeLessThanOrEqual(1500)
  })
})

describe('crawls', () => {
  it('find every item, although others are added, removed and moved meanwhile', () => {
    const driver = new StoreDriver(64 * MIB)
    const maintainer = new LruMaintainer(driver.store)
    for (let index = 0; index < 3000; index++) driver.set(`k${index}`, valueOf('v', index % 900))
    const seen = new Set<string>()
    const visit = (item: number): void => {
      const start = driver.store.keyStart(item)
      const key = driver.store.bytes(item).toString('latin1', start, start + driver.store.keyLength(item))
      seen.add(key)
    }
    const crawl = new ListCrawl(driver.store, { lists: ALL_LISTS, maxItems: 0, visit })
    let round = 0
    while (crawl.step(100)) {
      driver.delete(`k${round * 7}`)
      driver.set(`new${round}`, valueOf('v', 50))
      if (round % 10 === 0) maintainer.step()
      round++
    }
    // One that moved to another list may be met twice, but whatever was there all the time was met.
    const kept = Array.from({ length: 3000 }, (_, index) => `k${index}`).filter((key) => driver.find(key) !== 0)
    expect(kept.length).toBeGreaterThan(2000)
    expect(kept.filter((key) => !seen.has(key))).toEqual([])
  })

  it('walk the whole index, which does not grow until they end', () => {
    const driver = new StoreDriver(64 * MIB, { hashPower: 12 })
    for (let index = 0; index < 6000; index++) driver.set(`k${index}`, valueOf('v', 10))
    const buckets = driver.store.index.hold()
    expect(buckets).toBe(4096)
    let seen = 0
    const crawl = new HashCrawl(driver.store, buckets, () => seen++)
    let more = true
    for (let index = 6000; more; index++) {
      more = crawl.step(100)
      driver.set(`k${index}`, valueOf('v', 10))
    }
    expect(seen).toBeGreaterThanOrEqual(6000)
    expect(driver.store.index.isExpanding).toBe(false)
    for (let index = 0; index < 400; index++) driver.set(`more${index}`, valueOf('v', 10))
    expect(driver.store.index.power).toBe(13)
  })

  it('stop after so many items of a list', () => {
    const driver = new StoreDriver(64 * MIB)
    for (let index = 0; index < 100; index++) driver.set(`k${index}`, valueOf('v', 10))
    let seen = 0
    const crawl = new ListCrawl(driver.store, { lists: ALL_LISTS, maxItems: 30, visit: () => seen++ })
    while (crawl.step(1000));
    expect(seen).toBe(30)
  })
})

describe('PageMover', () => {
  function fill(megabytes: number): { driver: StoreDriver; mover: PageMover; source: number } {
    const driver = new StoreDriver(megabytes * MIB)
    for (let index = 0; total(driver.store.statistics.evicted) === 0; index++) {
      driver.set(`k${index}`, valueOf(`k${index}`, 9000))
    }
    return { driver, mover: new PageMover(driver.store), source: driver.store.slabs.classFor(9070) }
  }

  function finish(mover: PageMover): void {
    for (let steps = 0; steps < 10_000 && mover.isRunning; steps++) mover.step()
  }

  it('refuses invalid moves', () => {
    const { mover, source } = fill(4)
    expect(mover.order({ source, target: source, evicts: true })).toBe(MoveOrder.same)
    expect(mover.order({ source, target: 99, evicts: true })).toBe(MoveOrder.badClass)
    expect(mover.order({ source: 3, target: source, evicts: true })).toBe(MoveOrder.noSpare)
    expect(mover.order({ source, target: 3, evicts: true })).toBe(MoveOrder.ok)
    expect(mover.order({ source, target: 3, evicts: true })).toBe(MoveOrder.running)
  })

  it('moves the items of the page to free chunks of their class, with cas unique and place in the LRU', () => {
    const { driver, mover, source } = fill(4)
    const { store } = driver
    let freed = 0
    for (let index = 200; driver.delete(`k${index}`) || index < 460; index++) freed++
    expect(freed).toBeGreaterThan(120)
    const before = store.counters.currItems
    const oldest = store.lru.tail(source | Segment.hot)
    const text = (item: number): string =>
      store.bytes(item).toString('latin1', store.keyStart(item), store.valueStart(item))
    const oldestKey = text(oldest)
    const evicted = total(store.statistics.evicted)
    expect(mover.order({ source, target: 3, evicts: true })).toBe(MoveOrder.ok)
    finish(mover)
    expect(store.counters).toMatchObject({ pagesMoved: 1, currItems: before })
    expect(store.counters.rescues).toBeGreaterThan(50)
    expect(total(store.statistics.evicted)).toBe(evicted)
    expect(text(store.lru.tail(source | Segment.hot))).toBe(oldestKey)
    expect(store.lru.tail(source | Segment.hot)).not.toBe(oldest)
    for (let index = 2; index < 200; index++) {
      expect(driver.get(`k${index}`)?.equals(valueOf(`k${index}`, 9000))).toBe(true)
    }
    expect(store.slabs.classes[3]!.pages).toHaveLength(1)
    expect(driver.lostChunks()).toBe(0)
  })

  it('evicts the oldest for them if there are no free ones', () => {
    const { driver, mover, source } = fill(4)
    mover.order({ source, target: 0, evicts: true })
    finish(mover)
    const { store } = driver
    expect(store.counters.pagesMoved).toBe(1)
    expect(store.slabs.pooledPages).toBe(1)
    expect(total(store.statistics.evicted)).toBeGreaterThan(50)
    expect(driver.lostChunks()).toBe(0)
  })

  it('rescues pieces of large items', () => {
    const driver = new StoreDriver(16 * MIB, { largestChunkBytes: 16 * 1024 })
    const mover = new PageMover(driver.store)
    for (let index = 0; index < 300; index++) driver.set(`k${index}`, valueOf(`k${index}`, 30_000))
    for (let index = 100; index < 200; index++) driver.delete(`k${index}`)
    mover.order({ source: driver.store.slabs.largestClass, target: 0, evicts: true })
    finish(mover)
    expect(driver.store.counters.chunkRescues).toBeGreaterThan(20)
    for (let index = 0; index < 100; index++) {
      expect(driver.get(`k${index}`)?.equals(valueOf(`k${index}`, 30_000))).toBe(true)
    }
    expect(driver.lostChunks()).toBe(0)
  })

  it('waits for items that are being sent or received', () => {
    const { driver, mover, source } = fill(4)
    const { store } = driver
    for (let index = 200; index < 400; index++) driver.delete(`k${index}`)
    const pinned = driver.find('k5')
    const slices = store.valueSlices(pinned)
    store.pin(pinned)
    mover.order({ source, target: 0, evicts: true })
    for (let steps = 0; steps < 100; steps++) mover.step()
    expect(mover.isRunning).toBe(true)
    // It lives on elsewhere already; only the bytes that are being sent are still here.
    expect(driver.find('k5')).not.toBe(pinned)
    expect(driver.get('k5')?.equals(valueOf('k5', 9000))).toBe(true)
    expect(Buffer.concat(slices).equals(valueOf('k5', 9000))).toBe(true)
    store.unpin(pinned)
    finish(mover)
    expect(mover.isRunning).toBe(false)
    expect(driver.lostChunks()).toBe(0)
  })

  it('looks at a bounded number of chunks a step', () => {
    const driver = new StoreDriver(8 * MIB)
    for (let index = 0; index < 30_000; index++) driver.set(`k${index}`, Buffer.from('v'))
    const mover = new PageMover(driver.store)
    mover.order({ source: 1, target: 0, evicts: false })
    let steps = 0
    while (mover.isRunning && steps < 1000) {
      mover.step()
      steps++
    }
    // 10922 chunks a page, 500 a step.
    expect(steps).toBeGreaterThan(20)
  })
})

describe('Maintenance', () => {
  it('removes expired items without requests, and runs again before many more have expired', () => {
    const { driver, maintenance } = maintained(64)
    for (let index = 0; index < 500; index++) driver.set(`immortal${index}`, Buffer.from('v'))
    for (let index = 0; index < 3000; index++)
      driver.set(`k${index}`, Buffer.from('v'), driver.store.now + 10 + (index % 300))
    pass(driver, maintenance, 100)
    expect(driver.store.counters.currItems).toBeLessThan(3500 - 300)
    pass(driver, maintenance, 600)
    expect(driver.store.counters.currItems).toBe(500)
    expect(total(driver.store.statistics.expiredUnfetched)).toBe(3000)
  })

  it('gives empty pages to any class that needs them', () => {
    const { driver, maintenance } = maintained(8)
    for (let index = 0; total(driver.store.statistics.evicted) === 0; index++)
      driver.set(`a${index}`, valueOf('a', 2000))
    for (let index = 0; index < 4000; index++) driver.delete(`a${index}`)
    pass(driver, maintenance, 30)
    expect(driver.store.slabs.pooledPages).toBeGreaterThan(3)
    const evicted = total(driver.store.statistics.evicted)
    for (let index = 0; index < 40; index++) driver.set(`b${index}`, valueOf('b', 60_000))
    expect(total(driver.store.statistics.evicted)).toBe(evicted)
  })

  it('moves pages from a class that keeps old items to one that evicts young ones', () => {
    const { driver, maintenance } = maintained(8)
    for (let index = 0; driver.store.slabs.pages < 7; index++) driver.set(`old${index}`, valueOf('a', 2000))
    pass(driver, maintenance, 300)
    const target = driver.store.slabs.classFor(60_070)
    for (let second = 0; second < 60; second++) {
      for (let index = 0; index < 40; index++) driver.set(`young${second}:${index}`, valueOf('b', 60_000))
      pass(driver, maintenance, 1)
    }
    expect(driver.store.slabs.classes[target]!.pages.length).toBeGreaterThan(3)
    expect(driver.lostChunks()).toBe(0)
  })

  it('gives memory back when the limit is lowered, and takes it when it is raised', () => {
    const { driver, maintenance } = maintained(16)
    const fill = (name: string): void => {
      for (let index = 0; index < 3000; index++) driver.set(`${name}${index}`, valueOf(name, 9000))
    }
    fill('a')
    expect(driver.store.slabs.pages).toBe(16)
    driver.store.setMemoryLimit(8 * MIB)
    pass(driver, maintenance, 20)
    expect(driver.store.slabs.pages).toBe(8)
    fill('b')
    expect(driver.store.slabs.pages).toBe(8)
    driver.store.setMemoryLimit(12 * MIB)
    fill('c')
    expect(driver.store.slabs.pages).toBe(12)
    for (let index = 2990; index < 3000; index++) expect(driver.get(`c${index}`)?.equals(valueOf('c', 9000))).toBe(true)
  })

  it('pays back the page that a class got beyond the limit', () => {
    const { driver, maintenance } = maintained(4)
    for (let index = 0; index < 60_000; index++) driver.set(`small:${index}`, Buffer.from('x'))
    driver.set('large', valueOf('large', 30_000))
    expect(driver.store.slabs.excessPages).toBe(1)
    pass(driver, maintenance, 20)
    expect(driver.store.slabs.excessPages).toBe(0)
    expect(driver.get('large')?.equals(valueOf('large', 30_000))).toBe(true)
  })

  it('lets the index finish growing although nothing is stored any more', () => {
    const { driver, maintenance } = maintained(64, { hashPower: 12 })
    for (let index = 0; index < 6200; index++) driver.set(`k${index}`, Buffer.from('v'))
    expect(driver.store.index.isExpanding).toBe(true)
    pass(driver, maintenance, 1)
    expect(driver.store.index.isExpanding).toBe(false)
    for (let index = 0; index < 6200; index++) expect(driver.find(`k${index}`)).not.toBe(0)
  })

  it('looks at a bounded number of items a turn', () => {
    const { driver, maintenance } = maintained(64)
    for (let index = 0; index < 20_000; index++) driver.set(`k${index}`, Buffer.from('v'))
    maintenance.crawlExpired(ALL_LISTS)
    maintenance.run()
    expect(total(driver.store.statistics.crawlerItemsChecked)).toBeLessThanOrEqual(ITEMS_PER_STEP)
    expect(maintenance.crawlExpired(ALL_LISTS)).toBe(false)
    expect(maintenance.beginDump('hash', new Reader())).toBe('busy')
  })
})

/** Reads a dump. */
class Reader implements DumpVisitor {
  visited = 0
  isCutOff = false

  visit(): void {
    this.visited++
  }

  cutOff(): void {
    this.isCutOff = true
  }
}

describe('a dump', () => {
  it.each(['hash', ALL_LISTS] as const)(
    'that nobody reads holds back the others for 30 seconds at most',
    (selection) => {
      const { driver, maintenance } = maintained(64, { hashPower: 12 })
      for (let index = 0; index < 6000; index++) driver.set(`k${index}`, Buffer.from('v'))
      const [idle, other] = [new Reader(), new Reader()]
      expect(maintenance.beginDump(selection, idle)).toBe('begun')
      maintenance.stepDump(idle, 500)
      pass(driver, maintenance, 30)
      expect(maintenance.beginDump(selection, other)).toBe('busy')
      expect(idle.isCutOff).toBe(false)
      pass(driver, maintenance, 2)
      expect(idle.isCutOff).toBe(true)
      expect(maintenance.crawlExpired([1])).toBe(true)
      pass(driver, maintenance, 1)
      expect(maintenance.beginDump(selection, other)).toBe('begun')
      // What comes of the first too late changes nothing for the second.
      expect(maintenance.stepDump(idle, 500)).toBe(false)
      maintenance.endDump(idle)
      while (maintenance.stepDump(other, 500));
      expect(other.visited).toBe(6000)
      expect(maintenance.isCrawling).toBe(false)
      // The index grows again.
      for (let index = 6000; index < 7000; index++) driver.set(`k${index}`, Buffer.from('v'))
      expect(driver.store.index.power).toBe(13)
    },
  )

  it('continues as long as its reader takes a thousand items a second', () => {
    const { driver, maintenance } = maintained(64)
    for (let index = 0; index < 100_000; index++) driver.set(`k${index}`, Buffer.from('v'))
    const reader = new Reader()
    pass(driver, maintenance, 1)
    expect(maintenance.beginDump('hash', reader)).toBe('begun')
    let goesOn = true
    for (let seconds = 0; goesOn; seconds++) {
      expect(seconds).toBeLessThan(200)
      maintenance.stepDump(reader, 500)
      goesOn = maintenance.stepDump(reader, 500)
      pass(driver, maintenance, 1)
    }
    expect(reader).toEqual(Object.assign(new Reader(), { visited: 100_000 }))
  })
})
