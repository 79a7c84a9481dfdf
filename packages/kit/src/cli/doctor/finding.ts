import type { MemcachedClient, ServerStatistics } from 'memcache-ts-client'

export type FindingLevel = 'ok' | 'note' | 'warning' | 'fault'

/** The result of one check: what is seen, and what to change. */
export interface Finding {
  readonly check: string
  readonly level: FindingLevel
  /** Absent for what concerns all servers. */
  readonly server?: string | undefined
  readonly text: string
  readonly advice?: string | undefined
}

/** A key of the sample. */
export interface SampledKey {
  readonly key: string
  readonly expires: boolean
}

/** What the checks look at, of a server that responds. */
export interface Examined {
  readonly name: string
  readonly version: string
  readonly latencyMs: number
  /** From which latency on it is too slow. */
  readonly slowMs: number
  readonly statistics: ServerStatistics
  readonly settings: Readonly<Record<string, string | number>>
  /** `stats items`. */
  readonly items: Readonly<Record<string, string | number>>
  /** Unix time of this process when the statistics arrived, in seconds. */
  readonly nowSeconds: number
  /** `undefined` if the server does not dump. */
  readonly sample: readonly SampledKey[] | undefined
  /** Fetches a second of the keys that were fetched most, while the server was watched; `undefined` if it was not. */
  readonly fetches: ReadonlyMap<string, number> | undefined
}

/** Everything that was examined. */
export interface Examination {
  /** Those that respond. */
  readonly servers: readonly Examined[]
  /** Whether all servers of the list respond. */
  readonly complete: boolean
  readonly client: MemcachedClient
  readonly prefix: string
  /** Makes a client of the same list with another way to choose servers; it is never connected. */
  readonly clientWith: (hash: string) => MemcachedClient
}
