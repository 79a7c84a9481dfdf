import { MemcacheOptionError } from 'memcache-ts-protocol'
import { Abandonment, reasonOf, throwIfAborted } from './abandonment.ts'
import type { StopSource } from './abandonment.ts'
import type { CacheContext } from '../context.ts'
import { wouldWaitForItself, currentLoad, LoadNode } from './flights.ts'
import type { LoadContext } from './get-or-set-options.ts'
import type { LeasedLoads, LoadOutcome, LoadRight } from './leased-loads.ts'
import { HARD_TIMEOUT_MS, runLoader } from './load-run.ts'
import type { Loaded } from './load-run.ts'
import { FIRST_POLL_MS, nextPollMs, onAbort, pause, pollDelayMs } from './waiting.ts'
import { NO_LEASE } from '../read/lookups.ts'
import type { Lookup, Lookups } from '../read/lookups.ts'
import type { ReadThrough, ReadThroughRequest } from './read-through.ts'

/**
 * The result of a batch loader: a Map by id, in which a safe integer and its text are one id, or a list in the order of
 * the ids with `undefined` for missing values.
 */
export type LoadedMany<Id, Value> = ReadonlyMap<Id, Value> | readonly (Value | undefined)[]

/** Fetches many values that are not in the cache. */
export type BatchLoader<Id, Value> = (
  ids: readonly Id[],
  context: LoadContext,
) => LoadedMany<Id, Value> | Promise<LoadedMany<Id, Value>>

/** One of the requested values. */
export interface ManyItem<Id> {
  readonly id: Id
  readonly request: Omit<ReadThroughRequest, 'load'>
}

/** A value that this call loads; without a right it is not stored. */
interface LedItem<Id> {
  readonly item: ManyItem<Id>
  readonly right: LoadRight | undefined
  readonly isAway?: boolean
}

/**
 * How many values of a warm run were loaded, were skipped (they were stored already, or another caller was loading
 * them), and failed.
 */
export interface WarmCounts {
  loaded: number
  skipped: number
  failed: number
  /** How many of them failed since memcached did not respond. */
  unanswered?: number
  /** The error of the first value that failed. */
  cause?: unknown
}

/**
 * The pauses before keys whose lookup failed are looked up again, in milliseconds. Warming is not urgent, and a process
 * that starts is busy.
 */
const WARM_PAUSES_MS = [100, 400]

const MAX_ROUNDS = 4
const WITHOUT_LEASE: Promise<Lookup> = Promise.resolve(NO_LEASE)
const TO_JOIN = Promise.resolve(undefined)

/**
 * Reads many values: they are looked up in one pipeline, and the missing values are loaded by one call. Values that
 * another process is loading are waited for; loads that run in this process are joined.
 */
export class ReadThroughMany<Id, Value> {
  readonly #context: CacheContext
  readonly #lookups: Lookups
  readonly #loads: LeasedLoads
  readonly #single: ReadThrough
  readonly #load: BatchLoader<Id, Value>
  readonly #signal: AbortSignal | undefined
  readonly #values = new Map<Id, Value>()

  constructor(
    context: CacheContext,
    { lookups, loads, single }: { lookups: Lookups; loads: LeasedLoads; single: ReadThrough },
    { load, signal }: { load: BatchLoader<Id, Value>; signal: AbortSignal | undefined },
  ) {
    this.#context = context
    this.#lookups = lookups
    this.#loads = loads
    this.#single = single
    this.#load = load
    this.#signal = signal
  }

  /** Returns the values by id; values that the loader did not return are missing. Rejects with the loader's error. */
  async get(items: readonly ManyItem<Id>[]): Promise<Map<Id, Value>> {
    const deadline = performance.now() + this.#context.leaseSeconds * 1000
    // A loader is not served the value that its own load replaces.
    const current = currentLoad()
    const alone =
      current === undefined ? [] : items.filter(({ request }) => current.isWithin(this.#context, request.name))
    await Promise.all(alone.map((item) => this.#loadAlone(item)))
    let open = this.#fromMemory(alone.length === 0 ? items : items.filter((item) => !alone.includes(item)))
    let pauseMs = FIRST_POLL_MS
    for (let round = 0; open.length > 0; round++) {
      throwIfAborted(this.#signal)
      const isLast = round > 0 && (performance.now() >= deadline || round >= MAX_ROUNDS + this.#waits)
      const { locked, again } = await this.#round(open, { isLast })
      if (round === 0) this.#context.report.stats.leasesLost += locked.length
      if (locked.length > 0 && again.length === 0) {
        await pause(pollDelayMs(pauseMs), this.#signal)
        pauseMs = nextPollMs(pauseMs)
        this.#waits++
      }
      open = [...locked, ...again]
    }
    return inOrder(items, this.#values)
  }

  /**
   * Loads the values that are not stored and that no other caller is loading.
   *
   * @param about `isPatient`: whether keys whose lookup failed are looked up again after a pause.
   */
  async warm(items: readonly ManyItem<Id>[], { isPatient }: { isPatient: boolean }): Promise<WarmCounts> {
    throwIfAborted(this.#signal)
    const report: WarmCounts = { loaded: 0, skipped: 0, failed: 0 }
    const led: { item: ManyItem<Id>; right: LoadRight }[] = []
    let open = items
    for (let round = 0; open.length > 0; round++) {
      const lookups = await Promise.all(open.map(({ request }) => this.#lookups.find(request)))
      const unanswered: ManyItem<Id>[] = []
      for (const [index, found] of lookups.entries()) {
        const item = open[index]!
        if (found.kind === 'miss-without-lease') unanswered.push(item)
        else if (found.kind === 'miss-with-lease' && found.lease.take()) led.push({ item, right: found })
        else report.skipped++
        if (found.kind === 'stale') this.#reload(item, found)
      }
      open = unanswered
      const pauseMs = isPatient ? WARM_PAUSES_MS[round] : undefined
      // Without a cache, nothing can be warmed.
      if (pauseMs === undefined) break
      // If it is aborted, the leases that were granted are given back below.
      if (open.length > 0) await pause(pauseMs, this.#signal).catch(() => {})
      if (this.#signal?.aborted === true) break
    }
    report.failed += open.length
    report.unanswered = open.length
    if (open.length > 0) report.cause = new Error('memcached did not respond')
    const batch = this.#batchOf(led.map(({ item }) => item))
    const stop = (): void => batch.stop(reasonOf(this.#signal!))
    if (this.#signal?.aborted === true) stop()
    const unwatch = this.#signal === undefined ? undefined : onAbort(this.#signal, stop)
    await Promise.all(
      led.map(async ({ item, right }) => {
        const { name } = item.request
        const { node } = batch
        const flight = this.#loads.start(item.request, { node, right, background: true }, (stop) =>
          batch.load(item.id, stop),
        )
        const outcome = await this.#loads.wait(name, flight, undefined).catch((error: unknown) => {
          report.cause ??= error
          return NOTHING
        })
        const { value, confirmed, isKeptBack = false } = outcome
        if (confirmed && value !== undefined && !isKeptBack) report.loaded++
        else {
          report.failed++
          report.cause ??= new Error(value === undefined ? 'the loader returned nothing' : 'a value was not stored')
        }
      }),
    )
    unwatch?.()
    return report
  }

  /** Rounds spent waiting for other processes; the deadline limits them, not their number. */
  #waits = 0

  #fromMemory(items: readonly ManyItem<Id>[]): ManyItem<Id>[] {
    const { memory, report } = this.#context
    return items.filter(({ id, request }) => {
      const item = request.l1 ? memory?.fresh(request.name) : undefined
      if (item === undefined) return true
      report.memoryHit(request.name)
      this.#values.set(id, memory!.valueOf(item) as Value)
      return false
    })
  }

  /**
   * Looks up all keys, and loads those that this call leads. Returns the keys that others are loading (`locked`), and
   * those to look up again.
   */
  async #round(open: readonly ManyItem<Id>[], { isLast }: { readonly isLast: boolean }) {
    const { report } = this.#context
    const locked: ManyItem<Id>[] = []
    const again: ManyItem<Id>[] = []
    const join: ManyItem<Id>[] = []
    const alone: ManyItem<Id>[] = []
    const led: LedItem<Id>[] = []
    const stale: { item: ManyItem<Id>; found: Extract<Lookup, { kind: 'stale' }> }[] = []
    const lookups = await Promise.all(open.map(({ request }) => (isLast ? WITHOUT_LEASE : this.#lookUp(request))))
    for (const [index, found] of lookups.entries()) {
      const item = open[index]!
      const { name } = item.request
      if (found === undefined || (found.kind !== 'fresh' && found.kind !== 'stale' && this.#joins(item, found))) {
        join.push(item)
      } else if (found.kind === 'fresh') {
        report.hit(name)
        this.#values.set(item.id, found.value.take() as Value)
      } else if (found.kind === 'stale') {
        report.hit(name)
        report.stale(name)
        stale.push({ item, found })
        this.#values.set(item.id, found.value.take() as Value)
      } else if (found.kind === 'miss-locked') {
        // A loader that asks for its own value must not wait for its own lease.
        if (currentLoad()?.isWithin(this.#context, name) === true) alone.push(item)
        else locked.push(item)
      } else {
        report.miss(name)
        led.push(
          found.kind === 'miss-with-lease' ? { item, right: found } : { item, right: undefined, isAway: found.isAway },
        )
      }
    }
    for (const { item, found } of stale) this.#reload(item, found)
    const loading = this.#startBatch(led)
    const joining = join.map((item) => this.#join(item, again))
    await Promise.all([...loading, ...joining, ...alone.map((item) => this.#loadAlone(item))])
    return { locked, again }
  }

  /** Looks up a key; `undefined` if a running load can be joined. */
  #lookUp(request: ManyItem<Id>['request']): Promise<Lookup | undefined> {
    return this.#loads.running.joinable(request.name) === undefined ? this.#lookups.find(request) : TO_JOIN
  }

  /** Returns whether to join a load of this process: it began during the lookup, or has the key's lease. */
  #joins({ request }: ManyItem<Id>, found: Lookup): boolean {
    if (found.kind === 'miss-with-lease') return !found.lease.take()
    return this.#loads.running.joinable(request.name) !== undefined
  }

  async #join(item: ManyItem<Id>, again: ManyItem<Id>[]): Promise<void> {
    const { name } = item.request
    const running = this.#loads.running.joinable(name)
    if (running === undefined) {
      again.push(item)
      return
    }
    if (wouldWaitForItself(running)) return this.#loadAlone(item)
    this.#context.report.stats.coalesced++
    const { value, confirmed, isUnstorable = false } = await this.#loads.wait(name, running, this.#signal)
    if (isUnstorable) await this.#loadAlone(item)
    else if (!confirmed) again.push(item)
    else if (value !== undefined) this.#values.set(item.id, value as Value)
  }

  /** Loads all items by one loader call. Each item is a separate load that other callers can join. */
  #startBatch(led: readonly LedItem<Id>[]): Promise<void>[] {
    const batch = this.#batchOf(led.map(({ item }) => item))
    return led.map(async ({ item, right, isAway }) => {
      const { name } = item.request
      // No lease can refuse the value after an invalidation, so only callers of this tick may join the load.
      if (isAway === false) process.nextTick(() => this.#loads.running.detach(name))
      const flight = this.#loads.start(item.request, { node: batch.node, right }, (stop) => batch.load(item.id, stop))
      const { value } = await this.#loads.wait(name, flight, this.#signal)
      if (value !== undefined) this.#values.set(item.id, value as Value)
    })
  }

  /** Loads an item that is part of the load that this call runs in; joining that load would never end. */
  async #loadAlone(item: ManyItem<Id>): Promise<void> {
    const batch = this.#batchOf([item])
    const value = await this.#loads.runAlone(item.request, batch.node, () =>
      batch.load(item.id, this.#signal ?? new Abandonment()),
    )
    if (value !== undefined) this.#values.set(item.id, value as Value)
  }

  #reload(item: ManyItem<Id>, found: Extract<Lookup, { kind: 'stale' }>): void {
    const load = async (context: LoadContext): Promise<unknown> =>
      valuesById([item.id], await this.#load([item.id], context)).get(item.id)
    void this.#single.reload({ ...item.request, load, signal: undefined }, found)
  }

  #batchOf(items: readonly ManyItem<Id>[]): Batch<Id, Value> {
    return new Batch(items, this.#load, this.#context)
  }
}

/** One loader call for many values; it is aborted when no caller waits for any of them. */
class Batch<Id, Value> {
  readonly #items: readonly ManyItem<Id>[]
  readonly #load: BatchLoader<Id, Value>
  readonly #context: CacheContext
  readonly #stop = new Abandonment()
  /** The load of all items. */
  readonly node: LoadNode
  #left = 0
  #loading: Promise<{ values: ReadonlyMap<Id, Value>; loaded: Loaded }> | undefined

  constructor(items: readonly ManyItem<Id>[], load: BatchLoader<Id, Value>, context: CacheContext) {
    this.#items = items
    this.#load = load
    this.#context = context
    this.node = new LoadNode(
      context,
      items.map(({ request }) => request.name),
    )
  }

  /** Aborts the call for all callers that wait for it. */
  stop(reason: unknown): void {
    this.#stop.abort(reason)
  }

  async load(id: Id, stop: StopSource): Promise<Loaded> {
    const unwatch = onAbort(stop, () => {
      this.#left++
      if (this.#left === this.#items.length) this.#stop.abort(reasonOf(stop))
    })
    try {
      this.#loading ??= this.#run()
      const { values, loaded } = await this.#loading
      return { ...loaded, value: values.get(id) }
    } finally {
      unwatch()
    }
  }

  async #run() {
    const ids = this.#items.map((item) => item.id)
    const { name, loading } = this.#items[0]!.request
    const what = ids.length === 1 ? name : `${name} and ${ids.length - 1} more`
    const loaded = await runLoader(
      async (context) => valuesById(ids, await this.#load(ids, context)),
      {
        name: what,
        node: this.node,
        stop: this.#stop,
        hardTimeoutMs: loading.hardTimeoutMs ?? HARD_TIMEOUT_MS,
        stale: undefined,
      },
      this.#context,
    )
    return { values: loaded.value as ReadonlyMap<Id, Value>, loaded }
  }
}

const NOTHING: LoadOutcome = { value: undefined, confirmed: false }

/**
 * Returns the result of a batch loader by id.
 *
 * @throws MemcacheOptionError if a list has not one value per id.
 */
export function valuesById<Id, Value>(ids: readonly Id[], loaded: LoadedMany<Id, Value>): ReadonlyMap<Id, Value> {
  if (loaded instanceof Map) return withEqualIds(ids, loaded as ReadonlyMap<Id, Value>)
  const values = loaded as readonly (Value | undefined)[]
  if (!Array.isArray(values) || values.length !== ids.length) {
    const got = Array.isArray(values) ? `${values.length} values for ${ids.length} ids` : typeof values
    throw new MemcacheOptionError(
      `a batch loader returned ${got}: return a Map, or one value per id in the order of the ids`,
    )
  }
  return new Map(ids.flatMap((id, index) => (values[index] === undefined ? [] : [[id, values[index]] as const])))
}

/**
 * Returns the values of a Map by the requested ids. A safe integer and its text are one key, so they are one id:
 * databases return ids as text, and URLs have them as text.
 */
function withEqualIds<Id, Value>(ids: readonly Id[], loaded: ReadonlyMap<Id, Value>): ReadonlyMap<Id, Value> {
  let values: Map<Id, Value> | undefined
  for (const id of ids) {
    if (loaded.has(id)) continue
    const other = otherForm(id) as Id
    if (other === undefined || !loaded.has(other)) continue
    values ??= new Map(loaded)
    values.set(id, loaded.get(other)!)
  }
  return values ?? loaded
}

/** Returns the text of a safe integer, or the safe integer of its text; `undefined` for every other id. */
function otherForm(id: unknown): unknown {
  if (typeof id === 'number') return Number.isSafeInteger(id) ? String(id) : undefined
  if (typeof id !== 'string') return undefined
  const integer = Number(id)
  return Number.isSafeInteger(integer) && String(integer) === id ? integer : undefined
}

function inOrder<Id, Value>(items: readonly ManyItem<Id>[], values: ReadonlyMap<Id, Value>): Map<Id, Value> {
  const ordered = new Map<Id, Value>()
  for (const { id } of items) if (values.has(id)) ordered.set(id, values.get(id)!)
  return ordered
}
