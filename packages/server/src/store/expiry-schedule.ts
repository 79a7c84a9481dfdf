import { CLASS_MASK, LRU_LISTS } from './item-layout.ts'
import type { ItemStore } from './item-store.ts'
import { ListCrawl, reclaimDead } from './lru-crawler.ts'

const MINUTE = 60
/** A list is crawled at least once an hour. */
const MAX_WAIT_SECONDS = 60 * MINUTE
const MIN_WAIT_SECONDS = 5
const SEGMENT_NAMES = ['hot', 'warm', 'cold', 'temp'] as const

/** The result of a crawl of one list. */
class Findings {
  /** Items with an expiry. */
  withExpiry = 0
  seen = 0
  reclaimed = 0
  readonly startedAt: number
  /** How many of them expire in each minute of the next hour. */
  readonly byMinute = new Uint32Array(MINUTE)

  constructor(startedAt: number) {
    this.startedAt = startedAt
  }
}

/**
 * Schedules the background crawls of each list. A crawl counts the items that will expire in each of the next minutes,
 * and the next crawl waits until one percent of the items have. If none will expire, each crawl waits a minute longer
 * than the one before, up to an hour (memcached: items.c, lru_maintainer_crawler_check).
 */
export class ExpirySchedule {
  readonly #store: ItemStore
  readonly #next = new Float64Array(LRU_LISTS)
  readonly #wait = new Float64Array(LRU_LISTS)
  readonly #findings = new Map<number, Findings>()

  readonly #lastRun = new Float64Array(LRU_LISTS)
  readonly #report: (text: string) => void

  /** @param report called with memcached's line for each crawl that has ended. */
  constructor(store: ItemStore, report: (text: string) => void) {
    this.#store = store
    this.#report = report
  }

  /** Returns a crawl of the lists that are due; `undefined` if there are none. */
  due(): ListCrawl | undefined {
    const { lru, now, settings } = this.#store
    const lists: number[] = []
    for (let list = 0; list < LRU_LISTS; list++) {
      if (lru.size(list) === 0 || now <= this.#next[list]!) continue
      lists.push(list)
      this.#next[list] = now + MIN_WAIT_SECONDS
      this.#findings.set(list, new Findings(now))
    }
    if (lists.length === 0) return undefined
    return new ListCrawl(this.#store, {
      lists,
      maxItems: settings.lruCrawlerTocrawl,
      visit: (item, list) => this.#visit(item, list),
      finishedList: (list) => this.#plan(list),
    })
  }

  #visit(item: number, list: number): void {
    const exptime = this.#store.exptime(item)
    const findings = this.#findings.get(list)!
    findings.seen++
    if (reclaimDead(this.#store, item, list)) {
      findings.reclaimed++
      return
    }
    if (exptime === 0) return
    findings.withExpiry++
    const minute = Math.floor((exptime - this.#store.now) / MINUTE)
    if (minute < MINUTE) findings.byMinute[minute]!++
  }

  #plan(list: number): void {
    const { withExpiry, byMinute, seen, reclaimed, startedAt } = this.#findings.get(list)!
    this.#findings.delete(list)
    const worthIt = withExpiry / 100 + 1
    let wait = this.#wait[list]!
    let expiring = 0
    let minute = 0
    while (minute < MINUTE && expiring <= worthIt) expiring += byMinute[minute++]!
    if (expiring > worthIt) {
      if (wait < (minute - 1) * MINUTE) wait += MINUTE
      else if (wait >= MINUTE) wait -= MINUTE
    }
    if (expiring === 0) wait += MINUTE
    wait = Math.min(wait, MAX_WAIT_SECONDS)
    this.#wait[list] = wait
    const { now } = this.#store
    this.#next[list] = now + wait + MIN_WAIT_SECONDS
    this.#report(
      `type=lru_crawler crawler=${list & CLASS_MASK} lru=${SEGMENT_NAMES[list >>> 6]!} low_mark=${Math.floor(worthIt)}` +
        ` next_reclaims=${expiring} since_run=${now - this.#lastRun[list]!} next_run=${wait + MIN_WAIT_SECONDS}` +
        ` elapsed=${now - startedAt} examined=${seen} reclaimed=${reclaimed}`,
    )
    this.#lastRun[list] = now
  }
}
