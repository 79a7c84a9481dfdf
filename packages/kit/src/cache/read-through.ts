import { setTimeout as delay } from 'node:timers/promises'
import { AbandonedClaims } from './abandoned-claims.ts'
import { attempt, AWAY } from './attempt.ts'
import type { CacheParts } from './cache-parts.ts'
import { copyValue } from './copy-value.ts'
import { isDueEarly } from './early-refresh.ts'
import { Flights } from './flights.ts'
import type { Flight } from './flights.ts'
import type { Loader } from './get-or-set-options.ts'
import type { LeasedLoads, LoadOutcome, LoadRight, LoadTarget } from './leased-loads.ts'
import { runLoader } from './load-run.ts'
import type { Loaded } from './load-run.ts'
import { NO_LEASE } from './lookups.ts'
import type { Lookup, LookupRequest, Lookups } from './lookups.ts'
import { FIRST_POLL_MS, nextPollMs, pollDelayMs } from './poll-pause.ts'

/** One value that is wanted, and how it is loaded. */
export interface ReadThroughRequest extends LookupRequest, LoadTarget {
  readonly load: Loader<unknown>
  readonly signal: AbortSignal | undefined
}

type Stale = Extract<Lookup, { kind: 'stale' }>
type Fresh = Extract<Lookup, { kind: 'fresh' }>

/** How often a caller asks again whose value was invalidated while it was loaded, before he loads for himself. */
const MOST_ROUNDS = 4

/**
 * Values that are loaded when they are not there: by one caller of all processes, while the others wait for it, or are
 * served the stale one.
 *
 *   fresh ─────────────────────────────────→ its value; by XFetch one caller loads ahead
 *   stale ─ claimed → load in the background ┐
 *         └ not claimed ─────────────────────┴→ the stale value
 *   vacant → load → fill under the lease ────→ the value; refused when it was invalidated meanwhile
 *   taken → poll, to a deadline ─────────────→ fresh, vacant, or load and keep it to ourselves
 *   unleased → load ─────────────────────────→ the value, not stored: the cache is away
 *
 * A caller who joins another one's load gets its value only if the fill was confirmed: an invalidation that came between
 * the load's beginning and the joining refuses the fill, and the caller asks again.
 */
export class ReadThrough {
  readonly #parts: CacheParts
  readonly #lookups: Lookups
  readonly #loads: LeasedLoads
  readonly #polls = new Flights<Lookup>()
  /** Keys whose poll waits for its answer. */
  readonly #asking = new Set<string>()
  readonly #abandoned: AbandonedClaims
  /** Keys for which the right to load ahead is being asked for. */
  readonly #claiming = new Set<string>()

  constructor(parts: CacheParts, lookups: Lookups, loads: LeasedLoads) {
    this.#parts = parts
    this.#lookups = lookups
    this.#loads = loads
    this.#abandoned = new AbandonedClaims(parts.leaseSeconds, parts.clock)
  }

  /** A stale value was found: whoever has the right to loads it anew, in the background. */
  reload(request: ReadThroughRequest, found: Stale): void {
    const { name } = request
    if (found.claimable) void this.#claim(request, found)
    else if (found.claimed && this.#loads.get(name) === undefined)
      this.#startReload(request, found.item.casUnique!, found)
    else if (!found.claimed) this.#watchClaim(name, found.item.casUnique)
  }

  /** The value; rejects with the loader's error, or the signal's reason. */
  async get(request: ReadThroughRequest): Promise<unknown> {
    const { name, signal } = request
    const { report } = this.#parts
    let hasJoined = false
    for (let round = 0; ; round++) {
      signal?.throwIfAborted()
      const mayJoin = round < MOST_ROUNDS
      const running = mayJoin ? this.#loads.joinable(name) : undefined
      if (running !== undefined) {
        if (!hasJoined) report.stats.coalesced++
        hasJoined = true
        const { value, confirmed } = await this.#loads.wait(name, running, signal)
        if (confirmed) return copyValue(value)
        continue
      }
      const looked = mayJoin ? await this.#look(request) : NO_LEASE
      const isElsewhere = looked.kind === 'taken' && this.#loads.joinable(name) === undefined
      const found = isElsewhere ? await this.#waitFor(request) : looked
      switch (found.kind) {
        case 'fresh':
          report.hit(name)
          this.#refreshEarly(request, found)
          return found.value.take()
        case 'stale':
          return this.#serveStale(request, found)
        case 'taken':
          // Who loads it is in this process, and was not yet when it was looked for.
          continue
        case 'vacant':
          // Another caller of this process, who was looking for it at the same time, has the lease.
          if (!found.lease.take()) continue
          report.miss(name)
          return this.#lead(request, found)
        case 'unleased':
          if (mayJoin && this.#loads.joinable(name) !== undefined) continue
          report.miss(name)
          // Nobody could refuse what it brings: only those who came to this at the same time may join it.
          if (!found.isAway) process.nextTick(() => this.#loads.detach(name))
          return this.#lead(request, undefined)
      }
    }
  }

  async #lead(request: ReadThroughRequest, right: LoadRight | undefined): Promise<unknown> {
    const flight = this.#loads.start(request, right, (signal) => this.#run(request, signal, undefined))
    return (await this.#loads.wait(request.name, flight, request.signal)).value
  }

  /** Looks a key up, or joins who is polling for it. */
  #look(request: ReadThroughRequest): Promise<Lookup> {
    const { name, signal } = request
    const polling = this.#polls.get(name)
    // A poll that is being answered may have been overtaken by an invalidation: it is joined while it pauses.
    if (polling !== undefined && !this.#asking.has(name)) return this.#polls.wait(name, polling, signal)
    return this.#lookups.find(request)
  }

  /** Waits for the value that another process is loading: one poller a process. */
  #waitFor(request: ReadThroughRequest): Promise<Lookup> {
    const { name, signal } = request
    return this.#polls.wait(name, this.#polls.get(name) ?? this.#startPoll(request), signal)
  }

  #startPoll(request: ReadThroughRequest): Flight<Lookup> {
    this.#parts.report.stats.leasesLost++
    return this.#polls.start(request.name, (stop) => this.#poll(request, stop))
  }

  async #poll(request: ReadThroughRequest, stop: AbortSignal): Promise<Lookup> {
    const { name } = request
    const deadline = performance.now() + this.#parts.leaseSeconds * 1000
    for (let pauseMs = FIRST_POLL_MS; ; pauseMs = nextPollMs(pauseMs)) {
      await delay(pollDelayMs(pauseMs), undefined, { signal: stop })
      this.#asking.add(name)
      const found = await this.#lookups.find(request).finally(() => this.#asking.delete(name))
      if (found.kind !== 'taken') return found
      if (performance.now() >= deadline) return NO_LEASE
    }
  }

  async #serveStale(request: ReadThroughRequest, found: Stale): Promise<unknown> {
    const { name, loading, signal } = request
    const { report } = this.#parts
    report.hit(name)
    report.stale(name)
    this.reload(request, found)
    const flight = this.#loads.get(name)
    if (loading.softTimeoutMs === 0 || flight === undefined) return found.value.take()
    const loaded = await withinMs(loading.softTimeoutMs, this.#loads.wait(name, flight, signal), signal)
    return loaded === undefined ? found.value.take() : copyValue(loaded.value)
  }

  /** Who has claimed the value may have died. */
  #watchClaim(name: string, casUnique: bigint | undefined): void {
    const { store, report } = this.#parts
    if (casUnique === undefined || this.#loads.get(name) !== undefined) return
    if (!this.#abandoned.isAbandoned(name, casUnique)) return
    void attempt(
      store.use((using) => using.rearm(name, casUnique)),
      report,
    )
  }

  #refreshEarly(request: ReadThroughRequest, found: Fresh): void {
    const { beta } = request.loading
    const { loadMs = 0, freshUntilMs } = found.facts
    if (beta === 0 || freshUntilMs === undefined) return
    if (isDueEarly(loadMs, freshUntilMs, beta, this.#parts.clock.nowMs())) void this.#claim(request, found)
  }

  /** Asks for the right to load a value anew of which memcached does not know that it is time, and does so with it. */
  async #claim(request: ReadThroughRequest, found: Fresh | Stale): Promise<void> {
    const { name, tagKeys } = request
    const { store, report, tags } = this.#parts
    if (this.#claiming.has(name) || this.#loads.get(name) !== undefined) return
    this.#claiming.add(name)
    try {
      const [casUnique, generations] = await Promise.all([
        attempt(
          store.use((using) => using.claim(name, found.item)),
          report,
        ),
        attempt(tags.read(tagKeys), report),
      ])
      if (casUnique === AWAY || generations === AWAY) return
      if (casUnique === undefined) {
        this.#watchClaim(name, found.item.casUnique)
      } else if (this.#loads.get(name) === undefined) {
        if (found.kind === 'fresh') report.stats.earlyRefreshes++
        this.#startReload(request, casUnique, { value: found.value, generations })
      }
    } finally {
      this.#claiming.delete(name)
    }
  }

  /** Loads a value anew in the background; an error leaves the old one where it is. */
  #startReload(
    request: ReadThroughRequest,
    casUnique: bigint,
    { value, generations }: Pick<Stale, 'value' | 'generations'>,
  ): void {
    const lease = { key: request.name, casUnique, filled: true }
    const run = (signal: AbortSignal): Promise<Loaded> => this.#run(request, signal, () => value.copy())
    this.#loads.start(request, { lease, generations }, run, true)
  }

  #run(request: ReadThroughRequest, signal: AbortSignal, stale: (() => unknown) | undefined): Promise<Loaded> {
    const { name, load, loading } = request
    return runLoader(load, { name, signal, hardTimeoutMs: loading.hardTimeoutMs, stale }, this.#parts.report)
  }
}

/** A load that may be too slow, or fail: then `undefined`. @throws the signal's reason, when it is aborted. */
async function withinMs(
  milliseconds: number,
  loading: Promise<LoadOutcome>,
  signal: AbortSignal | undefined,
): Promise<LoadOutcome | undefined> {
  const controller = new AbortController()
  const pause = delay(milliseconds, undefined, { signal: controller.signal }).catch(() => undefined)
  try {
    return await Promise.race([loading, pause])
  } catch {
    signal?.throwIfAborted()
    return undefined
  } finally {
    controller.abort()
  }
}
