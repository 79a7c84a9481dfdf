import { LongTimer, MemcacheLoaderTimeoutError, MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { CacheReport } from './cache-report.ts'
import type { LoadContext } from './get-or-set-options.ts'

/** What a loader brought, and said of it. */
export interface Loaded {
  readonly value: unknown
  readonly ttlSeconds: Ttl | undefined
  readonly tags: readonly string[]
  readonly skipsStore: boolean
  /** When it began, by `performance.now()`. */
  readonly beganMs: number
  readonly tookMs: number
}

/** How a loader is run. */
export interface LoadConditions {
  readonly name: string
  readonly signal: AbortSignal
  readonly hardTimeoutMs: number
  /** Makes a copy of the value that is being replaced, for a loader that asks for it. */
  readonly stale: (() => unknown) | undefined
}

/**
 * Runs a loader, for as long as it may take.
 * @throws what it throws; MemcacheLoaderTimeoutError when it takes longer.
 */
export async function runLoader(
  load: (context: LoadContext) => unknown,
  { name, signal, hardTimeoutMs, stale }: LoadConditions,
  report: CacheReport,
): Promise<Loaded> {
  const deadline = hardTimeoutMs === Infinity ? undefined : new LoaderDeadline(name, hardTimeoutMs)
  let ttlSeconds: Ttl | undefined
  const tags: string[] = []
  let skipsStore = false
  const context: LoadContext = {
    signal: deadline === undefined ? signal : AbortSignal.any([signal, deadline.signal]),
    get stale() {
      return stale?.()
    },
    setTtlSeconds: (ttl) => {
      const late = lateTtl(ttl)
      if (late === undefined) skipsStore = true
      if (late !== 'default') ttlSeconds = late
      if (late === undefined && !isNothing(ttl))
        report.unstorable(name, new MemcacheOptionError(`setTtlSeconds(${String(ttl)})`))
    },
    setTags: (more) => {
      const late = lateTags(more)
      if (late !== undefined) return void tags.push(...late)
      skipsStore = true
      report.unstorable(name, new MemcacheOptionError('setTags wants a list of texts that are not empty'))
    },
    skipStore: () => void (skipsStore = true),
  }
  report.stats.loads++
  const beganMs = performance.now()
  try {
    const loading = load(context)
    const value = deadline === undefined ? await loading : await Promise.race([loading, deadline.passed])
    const tookMs = performance.now() - beganMs
    report.loaded(name, tookMs)
    return { value, ttlSeconds, tags, skipsStore, beganMs, tookMs }
  } catch (error) {
    report.loadFailed(name, performance.now() - beganMs, error)
    throw error
  } finally {
    deadline?.clear()
  }
}

/**
 * A lifetime that is known only when the loader runs: `undefined` for one that is over, or none at all, so that nothing is stored. A number is
 * seconds, also of more than 30 days, as `expires_in` of OAuth.
 */
function lateTtl(ttl: unknown): Ttl | 'default' | undefined {
  if (ttl === undefined || ttl === null) return 'default'
  if (ttl === Infinity) return Infinity
  if (typeof ttl === 'number') return ttl > 0 ? (`${Math.ceil(ttl)}s` as Ttl) : undefined
  try {
    ttlToSeconds(ttl as Ttl)
    return ttl as Ttl
  } catch {
    return undefined
  }
}

/** Whether a lifetime says that there is nothing to store. */
function isNothing(ttl: unknown): boolean {
  return typeof ttl === 'number' && ttl <= 0
}

/** Tags that are known only when the loader runs; `undefined` for what can be none. */
function lateTags(tags: unknown): readonly string[] | undefined {
  if (tags === undefined || tags === null) return []
  const list = typeof tags === 'string' ? [tags] : tags
  if (!Array.isArray(list)) return undefined
  const isEveryTag = list.every((tag) => typeof tag === 'string' && tag !== '' && tag.isWellFormed())
  return isEveryTag ? (list as readonly string[]) : undefined
}

/** The end of a loader's time. */
class LoaderDeadline {
  readonly #controller = new AbortController()
  readonly passed: Promise<never>
  #timer: LongTimer | undefined

  constructor(name: string, timeoutMs: number) {
    this.passed = new Promise((_, reject) => {
      this.#timer = new LongTimer(() => {
        const error = new MemcacheLoaderTimeoutError(`the loader of ${name} took longer than ${timeoutMs} ms`, {
          key: name,
        })
        this.#controller.abort(error)
        reject(error)
      }, timeoutMs)
    })
    this.passed.catch(() => {})
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  clear(): void {
    this.#timer?.clear()
  }
}
