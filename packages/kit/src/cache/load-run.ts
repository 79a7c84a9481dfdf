import { LongTimer, MemcacheLoaderTimeoutError, MemcacheOptionError } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { CacheReport } from './cache-report.ts'
import { checkTags } from './get-or-set-options.ts'
import type { LoadContext } from './get-or-set-options.ts'
import { lateSeconds } from './lifetime.ts'
import type { LoadNode } from './load-chain.ts'

/** What a loader brought, and said of it. */
export interface Loaded {
  readonly value: unknown
  /** The lifetime that the loader gave it; `undefined`: the call's. */
  readonly ttlSeconds: number | undefined
  readonly tags: readonly string[]
  readonly skipsStore: boolean
  /** What the loader said of the value that cannot be, so that it is not stored. */
  readonly fault: unknown
  /** When it began, by `performance.now()`. */
  readonly beganMs: number
  readonly tookMs: number
}

/** How a loader is run. */
export interface LoadConditions {
  readonly name: string
  readonly node: LoadNode
  readonly signal: AbortSignal
  readonly hardTimeoutMs: number
  /** Makes a copy of the value that is being replaced, for a loader that asks for it. */
  readonly stale: (() => unknown) | undefined
}

/** How long a loader may take that somebody waits for, where nothing else is said. */
export const HARD_TIMEOUT_MS = 300_000

/** What stands for the old value, which is still up to date. */
const NOT_MODIFIED: unique symbol = Symbol('not modified')

/**
 * Runs a loader, for as long as it may take and somebody waits for it. One that goes on is left to itself.
 * @throws what it throws; MemcacheLoaderTimeoutError when it takes longer; the signal's reason when that is aborted.
 */
export async function runLoader(
  load: (context: LoadContext) => unknown,
  { name, node, signal, hardTimeoutMs, stale }: LoadConditions,
  report: CacheReport,
): Promise<Loaded> {
  const end = new LoaderEnd(name, node, hardTimeoutMs, signal)
  const context = new LoaderContext(end.signal, stale)
  report.stats.loads++
  const beganMs = performance.now()
  try {
    const loaded = await Promise.race([node.run(() => load(context)), end.reached])
    const tookMs = performance.now() - beganMs
    report.loaded(name, tookMs)
    const value = loaded === NOT_MODIFIED ? stale?.() : loaded
    const { ttlSeconds, tags, skipsStore, fault } = context
    return { value, ttlSeconds, tags, skipsStore, fault, beganMs, tookMs }
  } catch (error) {
    report.loadFailed(name, performance.now() - beganMs, error)
    throw error
  } finally {
    end.clear()
  }
}

/** What a loader is told, and says. What it says wrongly fails no load: the value is returned, and not stored. */
class LoaderContext implements LoadContext {
  readonly signal: AbortSignal
  readonly #stale: (() => unknown) | undefined
  ttlSeconds: number | undefined
  readonly tags: string[] = []
  skipsStore = false
  fault: unknown

  constructor(signal: AbortSignal, stale: (() => unknown) | undefined) {
    this.signal = signal
    this.#stale = stale
  }

  get stale(): unknown {
    return this.#stale?.()
  }

  // Properties, since loaders take them out of the context: ({ setTags }) => …
  readonly notModified = (): never => {
    if (this.#stale === undefined) {
      throw new MemcacheOptionError('notModified() is for a loader that replaces a value: there is no stale one here')
    }
    return NOT_MODIFIED as never
  }

  readonly setTtlSeconds = (ttl: Ttl): void => {
    // A response without `expires_in` says nothing of it.
    if (ttl === undefined || ttl === null) return
    try {
      this.ttlSeconds = lateSeconds(ttl)
    } catch (error) {
      this.fault = error
    }
  }

  readonly setTags = (more: readonly string[]): void => {
    if (more === undefined || more === null) return
    const given: unknown = typeof more === 'string' ? [more] : more
    try {
      checkTags(given)
      for (const tag of given) this.tags.push(tag)
    } catch (error) {
      this.fault = error
    }
  }

  readonly skipStore = (): void => {
    this.skipsStore = true
  }
}

/** The end of a loader's time: it took too long, or nobody waits any more. */
class LoaderEnd {
  readonly #controller = new AbortController()
  readonly #outer: AbortSignal
  readonly #node: LoadNode
  readonly reached: Promise<never>
  #reject!: (error: unknown) => void
  readonly #timer: LongTimer | undefined

  constructor(name: string, node: LoadNode, timeoutMs: number, outer: AbortSignal) {
    this.#outer = outer
    this.#node = node
    this.reached = new Promise((_, reject) => (this.#reject = reject))
    this.reached.catch(() => {})
    if (outer.aborted) this.#abort()
    else outer.addEventListener('abort', this.#abort, { once: true })
    if (timeoutMs !== Infinity) {
      this.#timer = new LongTimer(() => {
        const text = `the loader of ${name} took longer than ${timeoutMs} ms`
        this.#end(new MemcacheLoaderTimeoutError(text, { key: name }))
      }, timeoutMs)
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  clear(): void {
    this.#timer?.clear()
    this.#outer.removeEventListener('abort', this.#abort)
  }

  readonly #abort = (): void => this.#end(this.#outer.reason)

  #end(reason: unknown): void {
    this.#node.end()
    this.#reject(reason)
    this.#controller.abort(reason)
  }
}
