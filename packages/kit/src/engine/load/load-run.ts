import { MemcacheLoaderTimeoutError, MemcacheOptionError } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { Abandonment, reasonOf } from './abandonment.ts'
import { onAbort } from './waiting.ts'
import type { StopSource } from './abandonment.ts'
import type { CacheContext } from '../context.ts'
import { lateTags } from './get-or-set-options.ts'
import type { LoadContext } from './get-or-set-options.ts'
import { lateSeconds } from '../lifetime.ts'
import type { LoadNode } from './flights.ts'
import type { TimeLimited } from './load-deadlines.ts'

/** The result of a loader, with what it set in its context. */
export interface Loaded {
  readonly value: unknown
  /** The lifetime that the loader set; `undefined` means the call's. */
  readonly ttlSeconds: number | undefined
  readonly tags: readonly string[]
  readonly skipsStore: boolean
  /** The error of an invalid `setTtlSeconds` or `setTags` call; then the value is not stored. */
  readonly fault: unknown
  /** The time when it began, by `performance.now()`. */
  readonly beganMs: number
  readonly tookMs: number
}

/** The conditions of one run of a loader. */
export interface LoadConditions {
  readonly name: string
  readonly node: LoadNode
  readonly stop: StopSource
  readonly hardTimeoutMs: number
  /** Returns a copy of the value that is being replaced. */
  readonly stale: (() => unknown) | undefined
}

/** The default time limit of a loader that a caller waits for. */
export const HARD_TIMEOUT_MS = 300_000

/** A loader's result that stands for the old value, which is still up to date. */
const NOT_MODIFIED: unique symbol = Symbol('not modified')

/**
 * Runs a loader until it ends, exceeds its time limit, or no caller waits for it any more. In the latter cases its
 * signal is aborted, and its later result is ignored.
 *
 * @throws the loader's error; MemcacheLoaderTimeoutError if it exceeds its time limit; the abort reason if no caller
 *   waits any more.
 */
export function runLoader(
  load: (context: LoadContext) => unknown,
  conditions: LoadConditions,
  parts: Pick<CacheContext, 'report' | 'deadlines'>,
): Promise<Loaded> {
  return new Promise((resolve, reject) => new LoaderRun(conditions, parts, { resolve, reject }).start(load))
}

/** The functions of the promise of a load. */
interface LoadOutlets {
  readonly resolve: (loaded: Loaded) => void
  readonly reject: (error: unknown) => void
}

/** One run of a loader. It ends by the loader's value or error, its time limit, or because no caller waits any more. */
class LoaderRun implements TimeLimited {
  readonly deadlineMs: number
  readonly #conditions: LoadConditions
  readonly #context: Pick<CacheContext, 'report' | 'deadlines'>
  readonly #resolve: (loaded: Loaded) => void
  readonly #reject: (error: unknown) => void
  readonly #stop = new Abandonment()
  readonly #loaderContext: LoaderContext
  readonly #beganMs = performance.now()
  #unwatch: (() => void) | undefined
  #hasEnded = false

  constructor(
    conditions: LoadConditions,
    context: Pick<CacheContext, 'report' | 'deadlines'>,
    { resolve, reject }: LoadOutlets,
  ) {
    this.#conditions = conditions
    this.#context = context
    this.#resolve = resolve
    this.#reject = reject
    this.deadlineMs = this.#beganMs + conditions.hardTimeoutMs
    this.#loaderContext = new LoaderContext(this.#stop, conditions.stale)
  }

  start(load: (context: LoadContext) => unknown): void {
    const { node, stop } = this.#conditions
    const { report, deadlines } = this.#context
    report.stats.loads++
    if (stop.aborted) {
      this.#giveUp(reasonOf(stop))
      return
    }
    this.#unwatch = onAbort(stop, this.#abandoned)
    deadlines.add(this)
    let loading: unknown
    try {
      loading = node.run(() => load(this.#loaderContext))
    } catch (error) {
      this.#failed(error)
      return
    }
    Promise.resolve(loading).then(this.#loaded, this.#failed)
  }

  expire(): void {
    const { name, hardTimeoutMs } = this.#conditions
    const text = `the loader of ${name} took longer than ${hardTimeoutMs} ms`
    this.#giveUp(new MemcacheLoaderTimeoutError(text, { key: name }))
  }

  readonly #abandoned = (): void => this.#giveUp(reasonOf(this.#conditions.stop))

  readonly #loaded = (loaded: unknown): void => {
    if (!this.#end()) return
    const { name, stale } = this.#conditions
    const beganMs = this.#beganMs
    const tookMs = performance.now() - beganMs
    try {
      const value = loaded === NOT_MODIFIED ? stale?.() : loaded
      this.#context.report.loaded(name, tookMs)
      const { ttlSeconds, tags, skipsStore, fault } = this.#loaderContext
      this.#resolve({ value, ttlSeconds, tags, skipsStore, fault, beganMs, tookMs })
    } catch (error) {
      this.#fail(error)
    }
  }

  readonly #failed = (error: unknown): void => {
    if (this.#end()) this.#fail(error)
  }

  #giveUp(reason: unknown): void {
    if (!this.#end()) return
    this.#fail(reason)
    this.#stop.abort(reason)
  }

  #fail(error: unknown): void {
    this.#context.report.loadFailed(this.#conditions.name, performance.now() - this.#beganMs, error)
    this.#reject(error)
  }

  /** Ends the run; returns false if it had ended before. */
  #end(): boolean {
    if (this.#hasEnded) return false
    this.#hasEnded = true
    this.#conditions.node.end()
    this.#context.deadlines.delete(this)
    this.#unwatch?.()
    return true
  }
}

/**
 * The context of one run of a loader. An invalid call of its methods does not fail the load: the value is returned, but
 * not stored.
 */
class LoaderContext implements LoadContext {
  readonly #stop: { readonly signal: AbortSignal }
  readonly #stale: (() => unknown) | undefined
  ttlSeconds: number | undefined
  readonly tags: string[] = []
  skipsStore = false
  fault: unknown

  constructor(stop: { readonly signal: AbortSignal }, stale: (() => unknown) | undefined) {
    this.#stop = stop
    this.#stale = stale
  }

  get signal(): AbortSignal {
    return this.#stop.signal
  }

  get stale(): unknown {
    return this.#stale?.()
  }

  // Arrow functions, since loaders destructure the context: ({ setTags }) => …
  readonly notModified = (): never => {
    if (this.#stale === undefined) {
      throw new MemcacheOptionError(
        'notModified() needs a stale value, and there is none: call it only if context.stale is not undefined',
      )
    }
    return NOT_MODIFIED as never
  }

  readonly setTtlSeconds = (ttl: Ttl): void => {
    // A response without `expires_in` does not set a lifetime.
    if (ttl === undefined || ttl === null) return
    try {
      this.ttlSeconds = lateSeconds(ttl)
    } catch (error) {
      this.fault = error
    }
  }

  readonly setTags = (more: readonly string[]): void => {
    const { tags, fault } = lateTags(more)
    for (const tag of tags) this.tags.push(tag)
    if (fault !== undefined) this.fault = fault
  }

  readonly skipStore = (): void => {
    this.skipsStore = true
  }
}
