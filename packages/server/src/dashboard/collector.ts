import { sumFigures, sumRates } from './figures.ts'
import type { Figures, Rates } from './figures.ts'
import { ServerWatch } from './server-watch.ts'
import type { HistoryPoint, ServerView } from './server-watch.ts'
import type { WatchedServers } from './watched-server.ts'

const SAMPLE_MS = 1000
const PROBE_MS = 100

/** What an application shares of its own view: a section of figures. Names and values are shown as they are. */
export interface SharedView {
  readonly title: string
  readonly figures: readonly { readonly name: string; readonly value: number; readonly unit?: string }[]
}

/** Reads what an application shares; it is told what is known of the servers. */
export type Shared = (servers: readonly ServerView[]) => readonly SharedView[]

/** What is sent to the page once a second. */
export interface Snapshot {
  /** Seconds since 1970. */
  readonly at: number
  readonly servers: readonly ServerView[]
  /** The servers that are up, together. */
  readonly total: { readonly figures: Figures; readonly rates: Rates | undefined } | undefined
  readonly shared: readonly SharedView[]
}

/** What is sent to a page that begins to look: the past of each server. */
export type History = Readonly<Record<string, readonly HistoryPoint[]>>

/** Somebody who looks. */
export type Viewer = (snapshot: Snapshot) => void

/**
 * Reads all servers once a second for all viewers together, and measures ten round trips a second. Without a viewer it has no timer and no
 * connection.
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

  /** The last snapshot, while somebody looks. */
  get latest(): Snapshot | undefined {
    return this.#latest
  }

  /** Begins to tell a viewer; returns what ends it. */
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

  /** Reads the servers once, and tells the viewers. */
  async collect(): Promise<Snapshot> {
    this.#follow()
    await Promise.all([...this.#watches.values()].map((watch) => watch.sample()))
    const servers = [...this.#watches.values()].map((watch) => watch.view())
    const up = servers.filter((server) => server.figures !== undefined)
    const rates = up.flatMap(({ rates }) => (rates === undefined ? [] : [rates]))
    const snapshot: Snapshot = {
      at: Math.round(Date.now() / 1000),
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

  #start(): void {
    let isCollecting = false
    const collect = (): void => {
      // One server that is slow must not pile up samples.
      if (isCollecting) return
      isCollecting = true
      void this.collect()
        // What the list of servers or the application's own view throws must not end the process; the next round tries again.
        .catch(() => {})
        .finally(() => (isCollecting = false))
    }
    this.#sampler = setInterval(collect, SAMPLE_MS).unref()
    this.#prober = setInterval(() => {
      for (const watch of this.#watches.values()) void watch.probe()
    }, PROBE_MS).unref()
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

  /** Discovery may have changed the list. */
  #follow(): void {
    const watches = new Map<string, ServerWatch>()
    for (const server of this.#servers()) {
      watches.set(server.name, this.#watches.get(server.name) ?? new ServerWatch(server))
    }
    for (const [name, watch] of this.#watches) if (!watches.has(name)) watch.rest()
    this.#watches = watches
  }
}
