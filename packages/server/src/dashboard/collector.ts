import { unrefTimer } from 'memcache-ts-protocol'
import { sumFigures, sumRates } from './figures.ts'
import type { Figures, Rates } from './figures.ts'
import { ServerWatch, within } from './server-watch.ts'
import type { HistoryPoint, ServerView } from './server-watch.ts'
import type { WatchedServers } from './watched-server.ts'

const SAMPLE_MS = 1000
const PROBE_MS = 100
/** How long a snapshot waits for servers that have an older sample. */
const MAX_WAIT_MS = 800

/** A section of figures that an application shares. Names and values are shown as text. */
export interface SharedView {
  readonly title: string
  readonly figures: readonly { readonly name: string; readonly value: number; readonly unit?: string }[]
}

/** Reads the sections that an application shares. The servers' latest views are its argument. */
export type Shared = (servers: readonly ServerView[]) => readonly SharedView[]

/** The figures of a moment, sent to each page once a second. */
export interface Snapshot {
  /** Seconds since 1970. */
  readonly at: number
  readonly servers: readonly ServerView[]
  /** The servers that are up, together. */
  readonly total: { readonly figures: Figures; readonly rates: Rates | undefined } | undefined
  readonly shared: readonly SharedView[]
}

/** The past of each server by its name, sent to a page when it connects. */
export type History = Readonly<Record<string, readonly HistoryPoint[]>>

/** A function that is called with each snapshot. */
export type Viewer = (snapshot: Snapshot) => void

/**
 * Reads all servers once a second for all viewers together, and measures ten round trips a second. Without a viewer it
 * has no timer and no connection.
 */
export class Collector {
  readonly #servers: WatchedServers
  readonly #shared: Shared
  readonly #viewers = new Set<Viewer>()
  #watches = new Map<string, ServerWatch>()
  #latest: Snapshot | undefined
  #sampler: NodeJS.Timeout | undefined
  #prober: NodeJS.Timeout | undefined

  constructor(servers: WatchedServers, shared: Shared = () => []) {
    this.#servers = servers
    this.#shared = shared
  }

  get viewers(): number {
    return this.#viewers.size
  }

  get isRunning(): boolean {
    return this.#sampler !== undefined
  }

  /** The last snapshot, while there is a viewer. */
  get latest(): Snapshot | undefined {
    return this.#latest
  }

  /** Adds a viewer; returns a function that removes it. */
  watch(viewer: Viewer): () => void {
    this.#viewers.add(viewer)
    if (this.#sampler === undefined) this.#start()
    return () => {
      if (this.#viewers.delete(viewer) && this.#viewers.size === 0) this.#stop()
    }
  }

  history(): History {
    return Object.fromEntries([...this.#watches].map(([name, { history }]) => [name, history]))
  }

  /** Reads the servers once, and passes the snapshot to the viewers. */
  async collect(): Promise<Snapshot> {
    this.#follow()
    // Not the time of day, which may be set back while the charts are drawn.
    const at = Math.round((performance.timeOrigin + performance.now()) / 1000)
    const watches = [...this.#watches.values()]
    await this.#sample(watches)
    for (const watch of watches) watch.record(at)
    const servers = watches.map((watch) => watch.view())
    const up = servers.filter((server) => server.figures !== undefined)
    const rates = up.flatMap(({ rates }) => (rates === undefined ? [] : [rates]))
    const snapshot: Snapshot = {
      at,
      servers,
      total:
        up.length === 0
          ? undefined
          : {
              figures: sumFigures(up.map(({ figures }) => figures!)),
              rates: rates.length === 0 ? undefined : sumRates(rates),
            },
      shared: this.#shared(servers),
    }
    // The last viewer may have gone meanwhile.
    if (this.#sampler !== undefined) this.#latest = snapshot
    for (const viewer of this.#viewers) viewer(snapshot)
    return snapshot
  }

  /** Ends for all viewers. */
  close(): void {
    this.#viewers.clear()
    this.#stop()
  }

  /**
   * Waits for servers without a sample. Other slow servers are shown with their last sample, so that they do not delay
   * the charts of all.
   */
  async #sample(watches: readonly ServerWatch[]): Promise<void> {
    const known = watches.filter((watch) => watch.hasSample).map((watch) => watch.sample())
    const unknown = watches.filter((watch) => !watch.hasSample).map((watch) => watch.sample())
    await Promise.all(unknown)
    await within(MAX_WAIT_MS, Promise.all(known)).catch(() => {})
  }

  #start(): void {
    let isCollecting = false
    const collect = (): void => {
      // One server that is slow must not pile up samples.
      if (isCollecting) return
      isCollecting = true
      void this.collect()
        // An error of the list of servers or of the application's own view must not end the process; the next round
        // repeats the attempt.
        .catch(() => {})
        .finally(() => (isCollecting = false))
    }
    this.#sampler = unrefTimer(setInterval(collect, SAMPLE_MS))
    this.#prober = unrefTimer(
      setInterval(() => {
        for (const watch of this.#watches.values()) void watch.probe()
      }, PROBE_MS),
    )
    collect()
  }

  #stop(): void {
    clearInterval(this.#sampler)
    clearInterval(this.#prober)
    this.#sampler = undefined
    this.#prober = undefined
    this.#latest = undefined
    for (const watch of this.#watches.values()) watch.rest()
    this.#watches.clear()
  }

  /** Watches the current servers: discovery may have changed the list. */
  #follow(): void {
    const watches = new Map<string, ServerWatch>()
    for (const server of this.#servers()) {
      watches.set(server.name, this.#watches.get(server.name) ?? new ServerWatch(server))
    }
    for (const [name, watch] of this.#watches) if (!watches.has(name)) watch.rest()
    this.#watches = watches
  }
}
