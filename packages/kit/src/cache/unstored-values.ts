import type { Logger } from '../logger.ts'
import type { CacheReport } from './cache-report.ts'

/** Keys are made while the application runs, and must not fill the log. */
const MAX_LOGGED = 100

/** Values that were returned to their callers and not stored, since they, or what was said of them, cannot be: each key is logged once. */
export class UnstoredValues {
  readonly #report: CacheReport
  readonly #logger: Logger
  readonly #logged = new Set<string>()

  constructor(report: CacheReport, logger: Logger) {
    this.#report = report
    this.#logger = logger
  }

  tell(key: string, error: unknown): void {
    this.#report.failed(error)
    if (this.#logged.has(key) || this.#logged.size >= MAX_LOGGED) return
    this.#logged.add(key)
    const why = error instanceof Error ? error.message : String(error)
    this.#logger.warn(`memcache-ts: what is loaded for ${key} is returned, and not stored: ${why}`)
  }
}
