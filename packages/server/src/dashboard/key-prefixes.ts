import type { SlabFigures } from './figures.ts'
import type { WatchedServer } from './watched-server.ts'

/** Keys of a class that are sampled. */
const SAMPLED_PER_CLASS = 100
const SHOWN = 20
const NO_PREFIX = '(without prefix)'

/** Figures of the keys with the same prefix. */
interface PrefixFigures {
  readonly prefix: string
  /** Items: an estimate by sampling. `undefined` if counted by `stats detail`. */
  readonly items?: number
  readonly bytes?: number
  /** Counts of `stats detail` since it was switched on. `undefined` if sampled. */
  readonly gets?: number
  readonly hits?: number
  readonly sets?: number
}

/** The prefixes of a server's keys, the largest first, and their source. */
export interface KeyPrefixes {
  readonly source: 'detail' | 'sample' | 'unavailable'
  /** The reason why it is unavailable. */
  readonly reason?: string
  readonly rows: readonly PrefixFigures[]
}

/**
 * Returns the key prefixes of a server: its own counts if they are on (`-D`, `stats detail on`), otherwise an estimate
 * from the keys that `stats cachedump` lists, a hundred of each slab class. The size of these lists is bounded, however
 * full the server is; a metadump lists every key.
 */
export async function readKeyPrefixes(
  server: WatchedServer,
  slabs: readonly SlabFigures[],
  { countsPrefixes }: { readonly countsPrefixes: boolean },
): Promise<KeyPrefixes> {
  try {
    return countsPrefixes ? await counted(server) : await sampled(server, slabs)
  } catch (error) {
    return { source: 'unavailable', reason: (error as Error).message, rows: [] }
  }
}

async function counted(server: WatchedServer): Promise<KeyPrefixes> {
  const rows = Object.entries(await server.statistics('detail dump')).map(([prefix, counts]): PrefixFigures => {
    const [, gets, hits, sets] = /^get (\d+) hit (\d+) set (\d+)/.exec(String(counts)) ?? []
    return { prefix, gets: Number(gets ?? 0), hits: Number(hits ?? 0), sets: Number(sets ?? 0) }
  })
  return { source: 'detail', rows: rows.sort((a, b) => b.gets! + b.sets! - a.gets! - a.sets!).slice(0, SHOWN) }
}

async function sampled(server: WatchedServer, slabs: readonly SlabFigures[]): Promise<KeyPrefixes> {
  const rows = new Map<string, { items: number; bytes: number }>()
  for (const { id, items, chunkBytes } of slabs) {
    if (items === 0) continue
    const keys = Object.keys(await server.statistics(`cachedump ${id} ${SAMPLED_PER_CLASS}`))
    for (const key of keys) {
      const prefix = prefixOf(key, server.prefix ?? '')
      const row = rows.get(prefix) ?? { items: 0, bytes: 0 }
      row.items += items / keys.length
      row.bytes += (items / keys.length) * chunkBytes
      rows.set(prefix, row)
    }
  }
  const found = [...rows].map(([prefix, { items, bytes }]) => ({
    prefix,
    items: Math.round(items),
    bytes: Math.round(bytes),
  }))
  return { source: 'sample', rows: found.sort((a, b) => b.bytes - a.bytes).slice(0, SHOWN) }
}

/**
 * Returns a key up to the first `:` or `/` after the application's prefix. Keys without these characters are counted
 * together, since access to figures must not show keys.
 */
function prefixOf(key: string, common: string): string {
  const start = key.startsWith(common) ? common : ''
  const [part] = /^[^:/]*[:/]/.exec(key.slice(start.length)) ?? []
  return part === undefined ? NO_PREFIX : start + part
}

/** Returns whether prefixes are counted, according to `stats settings`. */
export function countsPrefixes(settings: Readonly<Record<string, string | number>>): boolean {
  return settings['detail_enabled'] === 'yes'
}
