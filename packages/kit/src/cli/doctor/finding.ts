import type { MemcachedClient, ServerStatistics } from 'memcache-ts-client'

export type FindingLevel = 'ok' | 'note' | 'warning' | 'fault'

/** The result of one check: what was found, and what to change. */
export interface Finding {
  readonly check: string
  readonly level: FindingLevel
  /** Absent if it concerns all servers. */
  readonly server?: string | undefined
  readonly text: string
  readonly advice?: string | undefined
}

/** A key of the sample. */
export interface SampledKey {
  readonly key: string
  readonly expires: boolean
}

/** The data of a server that responds, for the checks. */
export interface Examined {
  readonly name: string
  readonly version: string
  readonly latencyMs: number
  /** The median round trip above which it is too slow. */
  readonly slowMs: number
  readonly statistics: ServerStatistics
  readonly settings: Readonly<Record<string, string | number>>
  /** `stats items`. */
  readonly items: Readonly<Record<string, string | number>>
  /** Unix time of this process when the statistics arrived, in seconds. */
  readonly nowSeconds: number
  /** `undefined` if the server does not list keys. */
  readonly sample: readonly SampledKey[] | undefined
  /** The fetches per second of each fetched key while the server was watched; `undefined` if it was not watched. */
  readonly fetches: ReadonlyMap<string, number> | undefined
}

/** The data of all servers. */
export interface Examination {
  /** The servers that respond. */
  readonly servers: readonly Examined[]
  /** The servers that responded first and not later. */
  readonly failed: readonly { readonly name: string; readonly fault: Error }[]
  /** Whether all servers of the list respond. */
  readonly complete: boolean
  readonly client: MemcachedClient
  readonly prefix: string
  /** Creates a client of the same list with another hash strategy; it is never connected. */
  readonly clientWith: (hash: string) => MemcachedClient
}
