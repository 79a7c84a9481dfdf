import type { MemcachedClient } from 'memcache-ts-client'
import type { Clock } from 'memcache-ts-protocol'
import type { Logger } from '../logger.ts'
import type { CacheHealth, CacheHost } from './engine.ts'
import type { CacheReport } from './observe/cache-report.ts'

/** The host of one `Memcache`. */
export class MemcacheHost implements CacheHost {
  readonly log: Logger
  readonly clock: Clock
  readonly report: CacheReport
  readonly health: CacheHealth
  readonly openClient: () => MemcachedClient
  readonly #closing: (() => Promise<unknown>)[] = []

  constructor({ log, clock, report, health, openClient }: Omit<CacheHost, 'onClose'>) {
    this.log = log
    this.clock = clock
    this.report = report
    this.health = health
    this.openClient = openClient
  }

  onClose(task: () => Promise<unknown>): void {
    this.#closing.push(task)
  }

  /** Runs the tasks that were registered with `onClose`. A task that fails does not stop the others. */
  async runClosing(): Promise<void> {
    await Promise.allSettled(this.#closing.splice(0).map((task) => task()))
  }
}
