/** Statistics by their names, as a form of `stats` returns them. */
export type Statistics = Readonly<Record<string, string | number>>

/** An item as a dump lists it. */
export interface DumpedKey {
  readonly key: string
  /** Bytes of the item, key and header included; 0 if the server does not say. */
  readonly bytes: number
  /** Seconds since 1970 at which it expires; `undefined` if it does not. */
  readonly expiresAt: number | undefined
}

/**
 * A memcached that a dashboard watches: the server of this process, or any other one behind a client. Every method
 * rejects if the server does not respond.
 */
export interface WatchedServer {
  /** `host:port`, or another name that distinguishes it from the other servers. */
  readonly name: string
  /** The prefix of all keys of the application, such as `shop:`. The key prefixes that are shown follow it. */
  readonly prefix?: string
  /**
   * Returns the statistics of a form: `''`, `items`, `slabs`, `settings`, `conns`, `detail dump`, `cachedump <class>
   * <limit>` (protocol.txt, "Statistics").
   */
  statistics(form: string): Promise<Statistics>
  /**
   * Sends `version` and waits for the response. Returns how many milliseconds that took; `undefined` if a connection
   * had to be opened first.
   */
  roundTrip(): Promise<number | undefined>
  /** Lists items (`lru_crawler metadump`) until `visit` returns false. */
  dump(visit: (item: DumpedKey) => boolean): Promise<void>
  /** Deletes a key in the form in which the server stores it. Returns whether the key existed. */
  delete(key: string): Promise<boolean>
  /** Forgets all items. */
  flush(): Promise<void>
  /** Closes the connections that were opened for viewers; called when the last viewer has left. */
  rest(): void
}

/** The servers of a dashboard. The list may change, as discovery finds them. */
export type WatchedServers = () => readonly WatchedServer[]

/** The highest slab class of any memcached. Others are ignored: each class is a row of the page and a label value. */
const MAX_SLAB_CLASS = 255

/** Returns a statistic as a number; 0 if the server does not have it, or sends a value that no statistic can have. */
export function numberOf(statistics: Statistics | undefined, name: string): number {
  const value = Number(statistics?.[name] ?? 0)
  return Number.isFinite(value) && value > 0 ? value : 0
}

/** Splits `items:3:number` or `3:chunk_size` by the slab class: class, then name, then value. */
export function byClass(statistics: Statistics): Map<number, Record<string, string | number>> {
  const classes = new Map<number, Record<string, string | number>>()
  for (const [name, value] of Object.entries(statistics)) {
    const [, id, field] = /^(?:items:)?(\d+):(\w+)$/.exec(name) ?? []
    if (id === undefined || field === undefined || Number(id) > MAX_SLAB_CLASS) continue
    const fields = classes.get(Number(id)) ?? {}
    fields[field] = value
    classes.set(Number(id), fields)
  }
  return classes
}
