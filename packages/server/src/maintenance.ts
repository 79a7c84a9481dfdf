import { unrefTimer } from 'memcache-ts-protocol'
import { ExpirySchedule } from './store/expiry-schedule.ts'
import type { ItemStore } from './store/item-store.ts'
import { HashCrawl, ITEMS_PER_STEP, ListCrawl, reclaimDead } from './store/lru-crawler.ts'
import type { VisitItem } from './store/lru-crawler.ts'
import { LruMaintainer } from './store/lru-maintainer.ts'
import { PageAutomover } from './store/page-automover.ts'
import { MoveOrder, PageMover } from './store/page-mover.ts'
import { PAGE_POOL } from './store/slab-allocator.ts'

/** The pause between two steps of unfinished work. */
const STEP_MS = 1
/** The pause after a step that had work. */
const BUSY_MS = 10
/** The pause if there is no work. */
const IDLE_MS = 1000

/** How long a client may take for a dump, in seconds, and the number of items that each add a second. */
const DUMP_SECONDS = 30
const DUMP_ITEMS_PER_SECOND = 1000

/** A walk over items: a bounded number at each step, until it returns false. */
export interface Crawl {
  step(items: number): boolean
  end(): void
}

/** The purpose of a crawl: background work, an operator's order, or a dump that a client reads. */
type CrawlKind = 'background' | 'ordered' | 'dump'

/** The reader of a dump. */
export interface DumpVisitor {
  visit(item: number): void
  /** Called if the dump is ended because its client read too slowly. */
  cutOff(): void
}

/** The parts that a `Maintenance` works with. */
export interface MaintenanceOptions {
  readonly store: ItemStore
  readonly lruMaintainer: boolean
  /** Updates the store's clock. */
  readonly tick: () => void
  /** Receives reports, in memcached's lines for `watch sysevents`. */
  readonly report: (text: string) => void
}

/**
 * The work of memcached's background threads, a bounded number of items in each step: it keeps the LRU segments at
 * their sizes, removes expired items, moves pages between classes, and grows the index. One timer, which does not keep
 * the process alive, runs all of it.
 */
export class Maintenance {
  readonly mover: PageMover
  readonly #store: ItemStore
  readonly #options: MaintenanceOptions
  readonly #maintainer: LruMaintainer
  readonly #automover: PageAutomover
  readonly #schedule: ExpirySchedule
  #crawl: Crawl | undefined
  #crawlKind: CrawlKind = 'background'
  #dumpVisitor: DumpVisitor | undefined
  /** The time when an unfinished dump is ended, in the store's seconds. */
  #dumpDeadline = 0
  #timer: NodeJS.Timeout | undefined
  #idleMs = BUSY_MS
  #second = 0

  constructor(options: MaintenanceOptions) {
    const { store } = options
    this.#options = options
    this.#store = store
    this.mover = new PageMover(store)
    this.#maintainer = new LruMaintainer(store)
    this.#automover = new PageAutomover(store)
    this.#schedule = new ExpirySchedule(store, options.report)
    store.tails.onEviction = (classId) => {
      if (store.settings.slabAutomove === 2 && store.settings.slabReassign) this.orderMove(-1, classId)
    }
  }

  get isCrawling(): boolean {
    return this.#crawl !== undefined && this.#crawlKind !== 'background'
  }

  /** Starts the background work; further calls do nothing. */
  start(): void {
    if (this.#timer === undefined) this.#wait(BUSY_MS)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#dumpVisitor !== undefined) this.#cutOffDump(this.#dumpVisitor)
    this.#crawl?.end()
    this.#crawl = undefined
  }

  /** Orders a page to be moved; returns a `MoveOrder`. */
  orderMove(source: number, target: number): number {
    const order = this.mover.order({ source, target, evicts: true })
    if (order === MoveOrder.ok) this.#wake()
    return order
  }

  /** Orders a search for expired items; returns false while another crawl runs. */
  crawlExpired(lists: readonly number[]): boolean {
    const { settings } = this.#store
    const crawl = new ListCrawl(this.#store, {
      lists,
      maxItems: settings.lruCrawlerTocrawl,
      visit: (item, list) => void reclaimDead(this.#store, item, list),
    })
    return this.#begin('ordered', crawl)
  }

  /**
   * Begins a dump of some lists or of the whole index, which its visitor drives by `stepDump`. There is one dump or
   * ordered crawl at a time, and the index does not grow during a dump of the whole index, so a dump that takes too
   * long is ended.
   */
  beginDump(lists: readonly number[] | 'hash', visitor: DumpVisitor): 'begun' | 'busy' | 'growing' {
    if (this.isCrawling) return 'busy'
    const visit: VisitItem = (item) => visitor.visit(item)
    if (lists === 'hash') {
      const buckets = this.#store.index.hold()
      if (buckets === 0) return 'growing'
      this.#begin('dump', new HashCrawl(this.#store, buckets, visit))
    } else {
      this.#begin('dump', new ListCrawl(this.#store, { lists, maxItems: 0, visit }))
    }
    this.#dumpVisitor = visitor
    this.#dumpDeadline = this.#store.now + DUMP_SECONDS
    return 'begun'
  }

  /** Visits the next items of a dump; returns whether there are more. */
  stepDump(visitor: DumpVisitor, items: number): boolean {
    if (this.#dumpVisitor !== visitor) return false
    this.#dumpDeadline += items / DUMP_ITEMS_PER_SECOND
    if (this.#crawl!.step(items)) return true
    this.endDump(visitor)
    return false
  }

  endDump(visitor: DumpVisitor): void {
    if (this.#dumpVisitor !== visitor) return
    this.#crawl!.end()
    this.#crawl = undefined
    this.#dumpVisitor = undefined
  }

  /** Runs one step of all work; returns the delay to the next step in milliseconds. */
  run(): number {
    this.#options.tick()
    const { settings } = this.#store
    let wait = IDLE_MS
    if (this.#options.lruMaintainer) {
      this.#idleMs = this.#maintainer.step() > 0 ? BUSY_MS : Math.min(this.#idleMs * 2, IDLE_MS)
      wait = this.#idleMs
    }
    if (this.#store.now !== this.#second) {
      this.#second = this.#store.now
      if (this.#dumpVisitor !== undefined && this.#second > this.#dumpDeadline) this.#cutOffDump(this.#dumpVisitor)
      if (settings.lruCrawler && this.#options.lruMaintainer && this.#crawl === undefined) {
        const due = this.#schedule.due()
        if (due !== undefined) this.#begin('background', due)
      }
      if (settings.slabReassign && !this.mover.isRunning) this.#decideMove('eachSecond')
    }
    if (this.#crawl !== undefined && this.#crawlKind !== 'dump') {
      if (this.#crawl.step(ITEMS_PER_STEP)) wait = STEP_MS
      else this.#crawl = undefined
    }
    if (this.#store.index.step()) wait = STEP_MS
    if (this.mover.isRunning) {
      if (this.mover.step()) wait = STEP_MS
      else if (this.mover.isRunning) wait = Math.min(wait, BUSY_MS)
      else if (this.#decideMove('afterMove')) wait = STEP_MS
    }
    return wait
  }

  #cutOffDump(visitor: DumpVisitor): void {
    this.endDump(visitor)
    visitor.cutOff()
  }

  /** Orders the move that is due; after a move to the pool, others may follow immediately. */
  #decideMove(when: 'eachSecond' | 'afterMove'): boolean {
    const isNewSecond = when === 'eachSecond'
    const move = this.#automover.decide(isNewSecond)
    if (move === undefined || (!isNewSecond && move.target !== PAGE_POOL)) return false
    const isOrdered = this.mover.order(move) === MoveOrder.ok
    this.#options.report(`type=slab_move src=${move.source} dst=${move.target} state=${isOrdered ? 'ok' : 'fail'}`)
    return isOrdered
  }

  #begin(kind: CrawlKind, crawl: Crawl): boolean {
    if (this.isCrawling) return false
    // A background crawl is dropped: the next one is due soon.
    this.#crawl?.end()
    this.#crawl = crawl
    this.#crawlKind = kind
    this.#store.counters.crawlerStarts++
    if (kind === 'ordered') this.#wake()
    return true
  }

  #wake(): void {
    if (this.#timer === undefined) return
    clearTimeout(this.#timer)
    this.#wait(STEP_MS)
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => {
      const next = this.run()
      if (this.#timer !== undefined) this.#wait(next)
    }, ms)
    unrefTimer(this.#timer)
  }
}
