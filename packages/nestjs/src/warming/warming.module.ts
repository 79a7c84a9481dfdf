import { cacheOf, MemcacheOptionError } from 'memcache-ts'
import type { WarmReport } from 'memcache-ts'
import { Inject, Logger, Module } from '@nestjs/common'
import type { BeforeApplicationShutdown, OnApplicationBootstrap } from '@nestjs/common'
import { ModulesContainer } from '@nestjs/core'
import { classOf } from 'memcache-ts/adapter'
import { providersOf } from '../startup/providers.ts'

/** The methods of a class with `@Warm`, and the method that each warms; `undefined` if it warms by itself. */
const WARMINGS = new WeakMap<object, Map<string, string | undefined>>()

// oxlint-disable-next-line typescript/no-explicit-any -- the parameters of a method, of any types
type Warmable<Name extends string> = Record<Name, (...args: any[]) => Promise<unknown>>

/**
 * Warms a `@Cached` method of the class when the application has started, with the argument lists that the decorated
 * method returns in an array or yields; a value that is not an array is a single argument. Each value is loaded by one
 * process of a fleet. Errors are logged: they neither prevent the application from starting nor end it.
 *
 * @example
 *   class Cities { @Warm('find') top() { return this.table.largestIds(1000) } }
 *
 * @param name the method to warm. Without a name, the decorated method warms by itself, and may return the report of
 *   `warm` for the log.
 */
export function Warm<const Name extends string = never>(
  name?: Name,
): <Target extends Warmable<Name>>(target: Target, method: string, descriptor: PropertyDescriptor) => void {
  if (name !== undefined && typeof name !== 'string') {
    throw new MemcacheOptionError(`@Warm takes the name of a @Cached method, got ${typeof name}: @Warm('find')`)
  }
  return (target, method, descriptor) => {
    if (typeof descriptor?.value !== 'function')
      throw new MemcacheOptionError(`@Warm belongs on a method, not on ${method}`)
    const warmings = WARMINGS.get(target)
    if (warmings === undefined) WARMINGS.set(target, new Map([[method, name]]))
    else warmings.set(method, name)
  }
}

/** Returns the methods with `@Warm` of a class and its superclasses. */
function warmingsOf(prototype: object): Map<string, string | undefined> {
  const parent = Object.getPrototypeOf(prototype) as object | null
  return new Map([...(parent === null ? [] : warmingsOf(parent)), ...(WARMINGS.get(prototype) ?? [])])
}

/** How often the progress of a long run is logged, in milliseconds. */
const PROGRESS_EVERY_MS = 5000

/** A method with `@Warm`. */
interface Warming {
  readonly instance: Record<string, (...args: never[]) => unknown>
  readonly source: string
  readonly warmed: string | undefined
}

/** Runs the methods with `@Warm` in the background; the application does not wait for them. */
@Module({})
export class WarmingModule implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #modules: ModulesContainer
  readonly #logger = new Logger('Warm')
  readonly #stop = new AbortController()
  /** Rejects when the application ends, so that a method that never yields is not waited for. */
  readonly #stopped: Promise<never>
  #running: Promise<unknown> = Promise.resolve()

  constructor(@Inject(ModulesContainer) modules: ModulesContainer) {
    this.#modules = modules
    const { signal } = this.#stop
    this.#stopped = new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    })
    this.#stopped.catch(() => {})
  }

  onApplicationBootstrap(): void {
    this.#running = Promise.all([...this.#warmings()].map((warming) => this.#run(warming)))
  }

  /** Caches are closed after this. Loaded values stay, and are skipped at the next start. */
  async beforeApplicationShutdown(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  *#warmings(): Generator<Warming, void> {
    const seen = new Set<unknown>()
    for (const { constructor, instance } of providersOf(this.#modules)) {
      const prototype = (constructor?.prototype as object | undefined) ?? prototypeOf(instance)
      const isOne = typeof instance === 'object' && instance !== null
      for (const [source, warmed] of prototype === undefined ? [] : warmingsOf(prototype)) {
        if (!isOne) {
          this.#logger.error(
            `${constructor!.name}.${source}: @Warm needs a provider with a single instance: not request-scoped, not transient`,
          )
        } else if (!seen.has(instance)) {
          yield { instance: instance as Warming['instance'], source, warmed }
        }
      }
      if (isOne) seen.add(instance)
    }
  }

  async #run({ instance, source, warmed }: Warming): Promise<void> {
    const who = `${classOf(instance).name}.${warmed ?? source}`
    const beganMs = performance.now()
    try {
      const given = await Promise.race([instance[source]!(), this.#stopped])
      const report = warmed === undefined ? given : await this.#warm({ instance, method: warmed, who }, given)
      this.#logger.log(`${who}: ${describe(report)} in ${Math.round(performance.now() - beganMs)} ms`)
    } catch (error) {
      if (this.#stop.signal.aborted) this.#logger.log(`${who}: stopped by the end of the application`)
      else this.#logger.error(`${who} could not be warmed: ${(error as Error).message}`, (error as Error).stack)
    }
  }

  async #warm(
    { instance, method, who }: { instance: Warming['instance']; method: string; who: string },
    given: unknown,
  ): Promise<WarmReport> {
    let reportedMs = performance.now()
    return cacheOf(instance as Record<string, (...args: unknown[]) => Promise<unknown>>, method).warm(
      this.#argumentLists(given, who),
      {
        signal: this.#stop.signal,
        onProgress: (report) => {
          if (performance.now() - reportedMs < PROGRESS_EVERY_MS) return
          reportedMs = performance.now()
          this.#logger.log(`${who}: ${describe(report)} so far`)
        },
      },
    )
  }

  /** Yields the argument lists of a method, until the application ends. */
  async *#argumentLists(given: unknown, who: string): AsyncGenerator<readonly unknown[], void> {
    const iterator = iteratorOf(given)
    if (iterator === undefined) {
      throw new MemcacheOptionError(`@Warm of ${who}: return the argument lists in an array, or yield them`)
    }
    for (;;) {
      const next = await Promise.race([iterator.next(), this.#stopped])
      if (next.done === true) return
      yield Array.isArray(next.value) ? next.value : [next.value]
    }
  }
}

/** Returns the prototype of a provided object; `undefined` if it is a Proxy that cannot be read yet. */
function prototypeOf(instance: unknown): object | undefined {
  try {
    return typeof instance === 'object' && instance !== null
      ? ((Object.getPrototypeOf(instance) as object | null) ?? undefined)
      : undefined
  } catch {
    return undefined
  }
}

function describe(report: unknown): string {
  if (typeof report !== 'object' || report === null || !('loaded' in report)) return 'done'
  const { loaded, skipped, failed } = report as WarmReport
  return `${loaded} loaded, ${skipped} already stored, ${failed} failed`
}

function iteratorOf(given: unknown): Iterator<unknown> | AsyncIterator<unknown> | undefined {
  if (typeof given !== 'object' || given === null) return undefined
  if (Symbol.asyncIterator in given) return (given as AsyncIterable<unknown>)[Symbol.asyncIterator]()
  return Symbol.iterator in given ? (given as Iterable<unknown>)[Symbol.iterator]() : undefined
}
