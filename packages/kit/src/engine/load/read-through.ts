import { LongTimer } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { Abandonment, reasonOf } from './abandonment.ts'
import type { StopSource } from './abandonment.ts'
import { AbandonedClaims } from './lost-leases.ts'
import { orUnavailable, UNAVAILABLE } from '../or-unavailable.ts'
import type { CacheContext } from '../context.ts'
import { isDueEarly } from '../lifetime.ts'
import { Flights, wouldWaitForItself, currentLoad, LoadNode, runDetached } from './flights.ts'
import type { Flight } from './flights.ts'
import type { GetOrSetOptions, Loader } from './get-or-set-options.ts'
import type { LeasedLoads, LoadOutcome, LoadRight, LoadTarget } from './leased-loads.ts'
import { HARD_TIMEOUT_MS, runLoader } from './load-run.ts'
import type { Loaded } from './load-run.ts'
import { FIRST_POLL_MS, nextPollMs, pause, pollDelayMs } from './waiting.ts'
import { NO_LEASE } from '../read/lookups.ts'
import type { Lookup, LookupRequest, Lookups } from '../read/lookups.ts'
import type { Generations } from '../invalidate/tags.ts'

/** The use that a caller may make of a stored value. */
export type Freshness = 'fresh' | 'stale' | 'unusable'

/** The request for one value, and how it is loaded. */
export interface ReadThroughRequest extends LookupRequest, LoadTarget {
  readonly load: Loader<unknown>
  /** Reloads a stale value in the background. Default: `load`. */
  readonly reload?: Loader<unknown> | undefined
  /**
   * The use that this caller may make of a stored value. An unusable value is reloaded, with the old value in the
   * loader's context, while other callers that cannot use it wait; a stale one is served while it is reloaded.
   * `ttlSeconds` is the remaining lifetime of the item, or `Infinity`. Default: what memcached says.
   */
  readonly freshnessOf?: ((value: unknown, ttlSeconds: number) => Freshness) | undefined
  /** Called with the generations of the tags when this caller gets the right to load, just before the loader runs. */
  readonly onLease?: ((generations: Generations) => void) | undefined
  /** Whether this caller may be served a stale value. Default true. */
  readonly takesStale?: boolean | undefined
  /** Whether this caller waits while another one loads the value. If not, it gets `undefined`. Default true. */
  readonly waits?: boolean | undefined
  readonly signal: StopSource | undefined
}

type Stale = Extract<Lookup, { kind: 'stale' }>
type Fresh = Extract<Lookup, { kind: 'fresh' }>

/** The time limit of a background reload. */
const MAX_BACKGROUND_MS = 60_000
/** How long the lease of a background reload without its own time limit is renewed, as a multiple of `leaseSeconds`. */
const BACKGROUND_LEASES = 2
/** How often a caller looks a value up again that was invalidated while it was loaded; then it loads without a lease. */
const MAX_ROUNDS = 4

/**
 * Reads values through the cache. One caller of all processes loads a missing value, while the others wait for it or
 * are served a stale value.
 *
 * ```text
 * fresh ─────────────────────────────────→ the value; by XFetch, one caller reloads it early
 * stale ─ claimed → load in the background ┐
 *       └ not claimed ─────────────────────┴→ the stale value
 * fresh or stale, but unusable ─ claimed → load → fill → the value
 *                              └ not claimed → stale: poll; fresh: load without storing
 * miss with lease → load → fill ───────────→ the value; the fill is refused if it was invalidated meanwhile
 * miss locked → poll until a deadline ─────→ fresh, or a miss with the lease of the caller that is too slow
 * any, within its own load ────────────────→ load without storing: waiting would never end
 * miss without lease → load ───────────────→ the value, not stored: the cache is away
 * ```
 *
 * A caller that joins another caller's load gets its value only if the fill was confirmed: an invalidation between the
 * start of the load and the joining refuses the fill, and the caller looks the key up again.
 */
export class ReadThrough {
  readonly #context: CacheContext
  readonly #lookups: Lookups
  readonly #loads: LeasedLoads
  readonly #polls = new Flights<Lookup>()
  readonly #abandoned: AbandonedClaims
  /** The claims that are under way, by key. */
  readonly #claims = new Map<string, Promise<Flight<LoadOutcome> | undefined>>()

  constructor(context: CacheContext, lookups: Lookups, loads: LeasedLoads) {
    this.#context = context
    this.#lookups = lookups
    this.#loads = loads
    this.#abandoned = new AbandonedClaims(context.leaseSeconds, context.clock)
  }

  /** Returns the value if memory has a fresh one; it costs no request. `undefined` means that it is to be looked up. */
  fromMemory(name: string, options: Ttl | GetOrSetOptions | undefined): Promise<unknown> | undefined {
    const { memory, report } = this.#context
    if (memory === undefined) return undefined
    if (typeof options === 'object' && !mayBeFromMemory(options)) return undefined
    const item = memory.fresh(name)
    if (item === undefined || currentLoad()?.isWithin(this.#context, name) === true) return undefined
    report.memoryHit(name)
    return Promise.resolve(memory.valueOf(item))
  }

  /**
   * Returns the value that memory has if it may be served without a confirmation by memcached. It is not a copy: it
   * must be neither changed nor handed out.
   */
  peekMemory(name: string): unknown {
    const { memory, report } = this.#context
    const item = memory?.fresh(name)
    if (item === undefined || currentLoad()?.isWithin(this.#context, name) === true) return undefined
    report.memoryHit(name)
    return item.value
  }

  /**
   * Reloads a stale value in the background, if this caller has or gets the right to. If the right must be claimed
   * first, the result is a promise of the load.
   */
  reload(request: ReadThroughRequest, found: Stale): Promise<Flight<LoadOutcome> | undefined> | undefined {
    const { name } = request
    if (found.claimable) return this.#claim(request, found)
    if (!found.claimed) {
      this.#watchClaim(name, found.item.casUnique)
    } else if (this.#loads.running.get(name) === undefined) {
      const lease = { key: name, casUnique: found.item.casUnique!, filled: true }
      this.#startReload(request, { lease, generations: found.generations }, found.value)
    }
    return undefined
  }

  /** Returns the value; rejects with the loader's error, or with the signal's reason. */
  async get(request: ReadThroughRequest): Promise<unknown> {
    const { name, signal } = request
    const { report } = this.#context
    // The stored value is the one that this load replaces: if its own loader were served the old value, it would be
    // stored as the new one.
    if (currentLoad()?.isWithin(this.#context, name) === true) return this.#loadAlone(request)
    let hasJoined = false
    let polled: Lookup | undefined
    for (let round = 0; ; round++) {
      if (signal?.aborted === true) throw reasonOf(signal)
      const mayJoin = round < MAX_ROUNDS
      const running = mayJoin ? this.#loads.running.joinable(name) : undefined
      if (running !== undefined) {
        if (request.waits === false) return undefined
        if (wouldWaitForItself(running)) return this.#loadAlone(request)
        if (!hasJoined) report.stats.coalesced++
        hasJoined = true
        // What a poll has found is older than the outcome of this load.
        polled = undefined
        const { value, confirmed, isUnstorable = false } = await this.#loads.wait(name, running, signal)
        if (confirmed) return value
        if (isUnstorable) return this.#loadAlone(request)
        continue
      }
      const looked = polled ?? (mayJoin ? await this.#look(request) : NO_LEASE)
      polled = undefined
      if (looked.kind === 'miss-locked' && request.waits === false) return undefined
      if (looked.kind === 'miss-locked' && currentLoad()?.isWithin(this.#context, name) === true)
        return this.#loadAlone(request)
      const isElsewhere = looked.kind === 'miss-locked' && this.#loads.running.joinable(name) === undefined
      const found = isElsewhere ? await this.#waitFor(request) : looked
      const freshness = found.kind === 'fresh' || found.kind === 'stale' ? freshnessFor(request, found) : undefined
      if ((found.kind === 'fresh' || found.kind === 'stale') && freshness === 'unusable') {
        const replaced = await this.#replace(request, found)
        if (replaced !== undefined && 'value' in replaced) return replaced.value
        polled = replaced?.polled
        continue
      }
      switch (found.kind) {
        case 'fresh':
          report.hit(name)
          if (freshness === 'stale') report.stale(name)
          if (freshness === 'stale') void this.#claim(request, found)
          else this.#refreshEarly(request, found)
          return found.value.take()
        case 'stale':
          return this.#serveStale(request, found)
        case 'miss-locked':
          // The load runs in this process, and began during the lookup.
          continue
        case 'miss-with-lease':
          // Another caller of this process, which shared the lookup, has the lease.
          if (!found.lease.take()) continue
          report.miss(name)
          return this.#lead(request, found)
        case 'miss-without-lease':
          if (mayJoin && this.#loads.running.joinable(name) !== undefined) continue
          report.miss(name)
          // No lease can refuse the value after an invalidation, so only callers of this tick may join the load.
          if (!found.isAway) process.nextTick(() => this.#loads.running.detach(name))
          return this.#lead(request, undefined)
      }
    }
  }

  /**
   * Returns a new value in place of one that this caller may not use, loaded by the caller that has the right to.
   * `undefined` means that the key is to be looked up again: another caller has loaded it, or it was invalidated
   * meanwhile. `polled` is what was found when the other caller had ended. It may contain the right to load, which a
   * second lookup would not get again.
   */
  async #replace(
    request: ReadThroughRequest,
    found: Fresh | Stale,
  ): Promise<{ readonly value: unknown } | { readonly polled: Lookup } | undefined> {
    const { name, signal } = request
    const right = this.#loads.running.get(name) === undefined ? await this.#rightTo(request, found) : undefined
    const running = this.#loads.running.get(name)
    if (request.waits === false && (running !== undefined || right === undefined)) return { value: undefined }
    if (running !== undefined) {
      if (wouldWaitForItself(running)) return { value: await this.#loadAlone(request) }
      this.#context.report.stats.coalesced++
      const { value, confirmed, isUnstorable = false } = await this.#loads.wait(name, running, signal)
      if (isUnstorable) return { value: await this.#loadAlone(request) }
      return confirmed ? { value } : undefined
    }
    this.#context.report.miss(name)
    if (right !== undefined) return { value: await this.#leadReplacing(request, right, found) }
    if (found.kind === 'fresh') return { value: await this.#leadUnleased(request) }
    const awaited = `${name} replaced`
    const polling =
      this.#polls.get(awaited) ?? this.#polls.start(awaited, (stop) => this.#pollReplaced(request, found, stop))
    const later = await this.#polls.wait(awaited, polling, signal)
    return later.kind === 'miss-without-lease' ? { value: await this.#leadUnleased(request) } : { polled: later }
  }

  #leadReplacing(request: ReadThroughRequest, right: LoadRight, found: Fresh | Stale): Promise<unknown> {
    request.onLease?.(right.generations)
    const { name, signal } = request
    const { store, report } = this.#context
    const node = new LoadNode(this.#context, [name])
    const stale = (): unknown => found.value.copy()
    // Callers that may be served the old value need not wait for this load, nor fail with it.
    const background = request.takesStale === false
    const flight = this.#loads.start(request, { node, right, background }, (stop) =>
      this.#run(request, { node, stop, stale }),
    )
    // If this load fails, waiting callers may try immediately: they cannot use the old value.
    flight.result.catch(() =>
      orUnavailable(
        store.use(name, (using) => using.rearm(name, right.lease.casUnique)),
        report,
      ),
    )
    return this.#loads.wait(name, flight, signal).then((outcome) => this.#ledValue(request, right, outcome))
  }

  /**
   * Returns the value that this caller has loaded. If it must not leave a stale value (`forceFresh`) and the new one
   * was not stored, the old one is deleted.
   */
  #ledValue(
    { name, takesStale }: ReadThroughRequest,
    right: LoadRight | undefined,
    { value, confirmed }: LoadOutcome,
  ): unknown {
    if (takesStale !== false || (right !== undefined && confirmed)) return value
    const { store, report } = this.#context
    const deleting = store.use(name, (using) => using.delete(name))
    return orUnavailable(deleting, report).then(() => value)
  }

  #leadUnleased(request: ReadThroughRequest): Promise<unknown> {
    process.nextTick(() => this.#loads.running.detach(request.name))
    return this.#lead(request, undefined)
  }

  /** Returns the right to reload a value; `undefined` if another caller has it, or the cache does not respond. */
  async #rightTo(request: ReadThroughRequest, found: Fresh | Stale): Promise<LoadRight | undefined> {
    const { name, tagKeys } = request
    const { store, report, tags } = this.#context
    if (found.kind === 'stale' && found.claimed) {
      const { generations, item } = found
      return { lease: { key: name, casUnique: item.casUnique!, filled: true }, generations }
    }
    if (found.kind === 'stale' && !found.claimable) return undefined
    const [casUnique, generations] = await Promise.all([
      orUnavailable(
        store.use(name, (using) => using.claim(name, found.item)),
        report,
      ),
      orUnavailable(tags.read(tagKeys), report),
    ])
    if (casUnique === UNAVAILABLE || casUnique === undefined || generations === UNAVAILABLE) return undefined
    return { lease: { key: name, casUnique, filled: true }, generations }
  }

  /** Polls until another process has replaced a stale value. */
  async #pollReplaced(request: ReadThroughRequest, seen: Stale, stop: Abandonment): Promise<Lookup> {
    const deadline = performance.now() + this.#context.leaseSeconds * 1000
    for (let pauseMs = FIRST_POLL_MS; ; pauseMs = nextPollMs(pauseMs)) {
      this.#watchClaim(request.name, seen.item.casUnique)
      await pause(pollDelayMs(pauseMs), stop)
      const found = await this.#lookups.find(request)
      const isWaiting = found.kind === 'stale' && !found.claimed && !found.claimable
      if (!isWaiting || freshnessFor(request, found) !== 'unusable') return found
      if (performance.now() >= deadline) return NO_LEASE
    }
  }

  #lead(request: ReadThroughRequest, right: LoadRight | undefined): Promise<unknown> {
    if (right !== undefined) request.onLease?.(right.generations)
    const node = new LoadNode(this.#context, [request.name])
    const flight = this.#loads.start(request, { node, right }, (stop) => this.#run(request, { node, stop }))
    return this.#loads
      .wait(request.name, flight, request.signal)
      .then((outcome) => this.#ledValue(request, right, outcome))
  }

  /** Looks up a key, or joins a caller that is polling for it. */
  #look(request: ReadThroughRequest): Promise<Lookup> {
    const { name, signal } = request
    const polling = request.waits === false ? undefined : this.#polls.get(name)
    if (polling !== undefined) return this.#polls.wait(name, polling, signal)
    return this.#lookups.find(request)
  }

  /** Waits for the value that another process is loading; one caller of this process polls. */
  #waitFor(request: ReadThroughRequest): Promise<Lookup> {
    const { name, signal } = request
    return this.#polls.wait(name, this.#polls.get(name) ?? this.#startPoll(request), signal)
  }

  #startPoll(request: ReadThroughRequest): Flight<Lookup> {
    this.#context.report.stats.leasesLost++
    const flight: Flight<Lookup> = this.#polls.start(request.name, (stop) => this.#poll(request, stop, () => flight))
    return flight
  }

  /**
   * Polls for a value. Callers may join only during its pauses: between a response and the callers that get it, an
   * invalidation may be confirmed that the response does not reflect.
   */
  async #poll(request: ReadThroughRequest, stop: Abandonment, itself: () => Flight<Lookup>): Promise<Lookup> {
    const { name } = request
    const deadline = performance.now() + this.#context.leaseSeconds * 1000
    for (let pauseMs = FIRST_POLL_MS; ; pauseMs = nextPollMs(pauseMs)) {
      await pause(pollDelayMs(pauseMs), stop)
      this.#polls.detach(name, itself())
      const found = await this.#lookups.find(request)
      if (found.kind !== 'miss-locked') return found
      if (performance.now() >= deadline) {
        // The lease is filled in place of its holder: the first of the two stores its value, and a later invalidation
        // refuses both.
        const { lease, generations } = found
        return lease === undefined ? NO_LEASE : { kind: 'miss-with-lease', lease, generations }
      }
      this.#polls.attach(name, itself())
    }
  }

  async #serveStale(request: ReadThroughRequest, found: Stale): Promise<unknown> {
    const { name, loading, signal } = request
    const { report } = this.#context
    report.hit(name)
    report.stale(name)
    const claiming = this.reload(request, found)
    if (loading.softTimeoutMs === 0) return found.value.take()
    // A claim takes no longer than a lookup.
    const flight = claiming === undefined ? this.#loads.running.get(name) : await claiming
    if (flight === undefined || wouldWaitForItself(flight)) return found.value.take()
    const loaded = await withinMs(loading.softTimeoutMs, this.#loads.wait(name, flight, signal), signal)
    const isOwn = loaded !== undefined && (loaded.confirmed || flight.waiters === 1)
    return isOwn ? loaded.value : found.value.take()
  }

  /** Lets another caller claim the value if its claim is too old, since the claiming process may have died. */
  #watchClaim(name: string, casUnique: bigint | undefined): void {
    const { store, report } = this.#context
    if (casUnique === undefined || this.#loads.running.get(name) !== undefined) return
    if (!this.#abandoned.isAbandoned(name, casUnique)) return
    void orUnavailable(
      store.use(name, (using) => using.rearm(name, casUnique)),
      report,
    )
  }

  #refreshEarly(request: ReadThroughRequest, found: Fresh): void {
    const { beta } = request.loading
    const { loadMs = 0, freshUntilMs } = found.facts
    if (beta === 0 || freshUntilMs === undefined) return
    const freshMs = freshUntilMs - this.#context.clock.nowMs()
    if (isDueEarly(freshMs, loadMs * beta)) void this.#claim(request, found)
  }

  /**
   * Claims a value that memcached does not consider stale, and reloads it if the claim is granted. Callers of one
   * process share the claim of a key. Resolves to the load, if it was started.
   */
  #claim(request: ReadThroughRequest, found: Fresh | Stale): Promise<Flight<LoadOutcome> | undefined> | undefined {
    const { name } = request
    const underWay = this.#claims.get(name)
    if (underWay !== undefined || this.#loads.running.get(name) !== undefined) return underWay
    const claiming = this.#rightTo(request, found)
      .then((right) => {
        if (right === undefined) this.#watchClaim(name, found.item.casUnique)
        if (right === undefined || this.#loads.running.get(name) !== undefined) return undefined
        if (found.kind === 'fresh') this.#context.report.stats.earlyRefreshes++
        return this.#startReload(request, right, found.value)
      })
      .finally(() => this.#claims.delete(name))
    this.#claims.set(name, claiming)
    return claiming
  }

  /** Reloads a value in the background; if that fails, the old value stays. */
  #startReload(request: ReadThroughRequest, right: LoadRight, value: Stale['value']): Flight<LoadOutcome> {
    const load = request.reload ?? request.load
    const stale = (): unknown => value.copy()
    // No caller waits for it that could end it, so its time is limited.
    const endsMs = Math.min(request.loading.hardTimeoutMs ?? Infinity, MAX_BACKGROUND_MS)
    return runDetached(() => {
      const node = new LoadNode(this.#context, [request.name])
      // A hanging reload must not block other processes for as long as the value may be served.
      const keptMs = request.loading.hardTimeoutMs ?? this.#context.leaseSeconds * BACKGROUND_LEASES * 1000
      return this.#loads.start(request, { node, right, background: true, keptMs }, (stop) =>
        this.#run({ ...request, load }, { node, stop, stale, hardTimeoutMs: endsMs }),
      )
    })
  }

  /** Runs the loader for this caller alone. */
  async #loadAlone(request: ReadThroughRequest): Promise<unknown> {
    this.#context.report.miss(request.name)
    const node = new LoadNode(this.#context, [request.name])
    const stop = request.signal ?? new Abandonment()
    return this.#loads.runAlone(request, node, () => this.#run(request, { node, stop }))
  }

  #run(request: ReadThroughRequest, conditions: RunConditions): Promise<Loaded> {
    const { name, load, loading } = request
    const { node, stop, stale, hardTimeoutMs = loading.hardTimeoutMs ?? HARD_TIMEOUT_MS } = conditions
    return runLoader(load, { name, node, stop, hardTimeoutMs, stale }, this.#context)
  }
}

/** The conditions of one run of a request's loader. */
interface RunConditions {
  readonly node: LoadNode
  readonly stop: StopSource
  readonly stale?: () => unknown
  readonly hardTimeoutMs?: number
}

function freshnessFor(request: ReadThroughRequest, found: Fresh | Stale): Freshness {
  if (request.freshnessOf !== undefined) return request.freshnessOf(found.value.peek(), found.item.ttlSeconds)
  return found.kind === 'stale' && request.takesStale === false ? 'unusable' : found.kind
}

/**
 * Waits for a load; `undefined` if it takes longer or fails.
 *
 * @throws the signal's reason if it is aborted.
 */
async function withinMs(
  milliseconds: number,
  loading: Promise<LoadOutcome>,
  signal: StopSource | undefined,
): Promise<LoadOutcome | undefined> {
  let timer: LongTimer | undefined
  const pause = new Promise<undefined>((resolve) => (timer = new LongTimer(() => resolve(undefined), milliseconds)))
  try {
    return await Promise.race([loading, pause])
  } catch {
    if (signal?.aborted === true) throw reasonOf(signal)
    return undefined
  } finally {
    timer?.clear()
  }
}

/** Returns whether the call's options allow a value from memory without further checks. */
function mayBeFromMemory({ l1, signal, forceFresh }: GetOrSetOptions): boolean {
  return l1 !== false && signal === undefined && forceFresh !== true
}
