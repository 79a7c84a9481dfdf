import { MemcacheLoaderTimeoutError } from 'memcache-ts-protocol'
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
    setTtlSeconds: (ttl) => (ttlSeconds = ttl),
    setTags: (more) => void tags.push(...more),
    skipStore: () => (skipsStore = true),
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

/** The end of a loader's time. */
class LoaderDeadline {
  readonly #controller = new AbortController()
  readonly passed: Promise<never>
  #timer: NodeJS.Timeout | undefined

  constructor(name: string, timeoutMs: number) {
    this.passed = new Promise((_, reject) => {
      this.#timer = setTimeout(() => {
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
    clearTimeout(this.#timer)
  }
}
