import { connectionFigures, figuresOf, ratesBetween, shortened, slabFigures } from './figures.ts'
import type { ConnectionFigures, Figures, Rates, SlabFigures } from './figures.ts'
import { countsPrefixes, readKeyPrefixes } from './key-prefixes.ts'
import type { KeyPrefixes } from './key-prefixes.ts'
import { numberOf } from './watched-server.ts'
import type { Statistics, WatchedServer } from './watched-server.ts'

/** The number of past samples of a server, one per second. */
const HISTORY_LENGTH = 120
/** How long a server may take to respond, in milliseconds. */
const TIMEOUT_MS = 2000
/** Slab classes and connections are read with every second sample, prefixes more rarely. */
const DETAILS_EVERY = 2
const PREFIXES_EVERY = 10
const SHOWN_CONNECTIONS = 50

/** A moment of a server's past, as small as the charts need it. */
export interface HistoryPoint {
  /** Seconds since 1970. */
  readonly at: number
  readonly rates: Rates | undefined
  readonly p50: number | undefined
  readonly p99: number | undefined
}

/** A server as the page shows it. */
export interface ServerView {
  readonly name: string
  readonly up: boolean
  /** The reason why it is not up. */
  readonly fault?: string | undefined
  readonly version?: string
  readonly uptimeSeconds?: number
  readonly figures?: Figures
  /** `undefined` until there are two samples. */
  readonly rates?: Rates | undefined
  readonly p50?: number | undefined
  readonly p99?: number | undefined
  readonly slabs?: readonly SlabFigures[]
  readonly prefixes?: KeyPrefixes
  readonly connections?: readonly ConnectionFigures[]
}

/** Watches one server: its last sample, its rates, its round trips, and a past of bounded length. */
export class ServerWatch {
  readonly server: WatchedServer
  readonly history: HistoryPoint[] = []
  readonly #latency = new Latency()
  #statistics: Statistics | undefined
  #sampledAtMs = 0
  #rates: Rates | undefined
  #fault: string | undefined
  #samples = 0
  /** The number of the current read; results of earlier reads that took too long are ignored. */
  #reading = 0
  #slabs: readonly SlabFigures[] = []
  #prefixes: KeyPrefixes = { source: 'sample', rows: [] }
  #connections: readonly ConnectionFigures[] = []
  #isSampling = false
  #isProbing = false
  #isReadingPrefixes = false
  #isResting = false
  #hasSample = false

  constructor(server: WatchedServer) {
    this.server = server
  }

  /** Whether a sample was taken or has failed, so that there is something to show meanwhile. */
  get hasSample(): boolean {
    return this.#hasSample
  }

  /**
   * Reads the server once. A server that does not respond in time is away, and gets no further request before it has
   * responded.
   */
  async sample(): Promise<void> {
    if (this.#isSampling) return
    this.#isSampling = true
    const reading = ++this.#reading
    try {
      await within(TIMEOUT_MS, this.#read(reading))
    } catch (error) {
      // A response that arrives later must not mark the server as up.
      this.#reading++
      this.#fault = shortened((error as Error).message)
      this.#statistics = undefined
      this.#rates = undefined
      this.#samples = 0
      this.#latency.clear()
    } finally {
      this.#isSampling = false
      this.#hasSample = true
    }
  }

  /** Adds the last sample to the past. All servers have their points at the same times, so that they can be summed. */
  record(at: number): void {
    const { p50, p99 } = this.#percentiles()
    this.history.push({ at, rates: this.#rates, p50, p99 })
    if (this.history.length > HISTORY_LENGTH) this.history.shift()
  }

  /** Measures a round trip. A failed one is not measured; `sample` reports the failure. */
  async probe(): Promise<void> {
    if (this.#isProbing || this.#statistics === undefined) return
    this.#isProbing = true
    try {
      const milliseconds = await this.server.roundTrip()
      if (milliseconds !== undefined) this.#latency.add(milliseconds)
    } catch {
      // The next sample reports the failure.
    } finally {
      this.#isProbing = false
    }
  }

  view(): ServerView {
    const { name } = this.server
    const statistics = this.#statistics
    if (statistics === undefined) return { name, up: false, fault: this.#fault }
    return {
      name,
      up: true,
      version: shortened(statistics['version'] ?? ''),
      uptimeSeconds: numberOf(statistics, 'uptime'),
      figures: figuresOf(statistics),
      rates: this.#rates,
      ...this.#percentiles(),
      slabs: this.#slabs,
      prefixes: this.#prefixes,
      connections: this.#connections,
    }
  }

  /** Forgets all samples when the last viewer has gone, since a chart with a gap would mislead. */
  rest(): void {
    this.#isResting = true
    this.#reading++
    this.server.rest()
    this.history.length = 0
    this.#latency.clear()
    this.#statistics = undefined
    this.#rates = undefined
    this.#samples = 0
  }

  async #read(reading: number): Promise<void> {
    const { server } = this
    const statistics = await server.statistics('')
    if (reading !== this.#reading) return
    const now = performance.now()
    const before = this.#statistics
    this.#rates = before === undefined ? undefined : ratesBetween(before, statistics, (now - this.#sampledAtMs) / 1000)
    this.#sampledAtMs = now
    this.#fault = undefined
    const round = this.#samples++
    if (round % DETAILS_EVERY === 0) {
      const [slabs, items, conns] = await Promise.all([
        optional(server, 'slabs'),
        optional(server, 'items'),
        optional(server, 'conns'),
      ])
      this.#slabs = slabFigures(slabs, items)
      this.#connections = connectionFigures(conns, SHOWN_CONNECTIONS)
    }
    if (reading !== this.#reading) return
    this.#statistics = statistics
    if (round % PREFIXES_EVERY === 0) void this.#readPrefixes()
  }

  async #readPrefixes(): Promise<void> {
    if (this.#isReadingPrefixes) return
    this.#isReadingPrefixes = true
    try {
      const settings = await optional(this.server, 'settings')
      this.#prefixes = await readKeyPrefixes(this.server, this.#slabs, {
        countsPrefixes: countsPrefixes(settings),
      })
    } finally {
      this.#isReadingPrefixes = false
      // The read that was running may have opened a connection again.
      if (this.#isResting) this.server.rest()
    }
  }

  #percentiles(): { p50: number | undefined; p99: number | undefined } {
    return { p50: this.#latency.percentile(0.5), p99: this.#latency.percentile(0.99) }
  }
}

/**
 * Returns the statistics of a form that old servers, other implementations and proxies may not have; without the form,
 * the result is empty, and everything else is shown.
 */
export function optional(server: WatchedServer, form: string): Promise<Statistics> {
  return server.statistics(form).catch((): Statistics => ({}))
}

/** Rejects if the promise takes longer. */
export async function within<Value>(milliseconds: number, promise: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no response within ${milliseconds} ms`)), milliseconds)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** The number of probes whose round trips are kept: half a minute, at ten probes a second. */
const KEPT = 300

/** Durations of the last round trips, and their percentiles. Memory is bounded. */
class Latency {
  readonly #milliseconds = new Float64Array(KEPT)
  #count = 0

  add(milliseconds: number): void {
    this.#milliseconds[this.#count++ % KEPT] = milliseconds
  }

  clear(): void {
    this.#count = 0
  }

  /** Returns the duration in milliseconds that this share of round trips does not exceed; `undefined` if there are none. */
  percentile(share: number): number | undefined {
    const size = Math.min(this.#count, KEPT)
    if (size === 0) return undefined
    const sorted = this.#milliseconds.slice(0, size).sort()
    return sorted[Math.min(size - 1, Math.ceil(share * size) - 1)]
  }
}
