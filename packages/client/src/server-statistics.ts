/**
 * The general statistics of a server, those that every memcached has by name (protocol.txt, "General-purpose
 * statistics").
 */
export interface ServerStatistics extends Record<string, string | number> {
  pid: number
  /** Seconds since it was started. */
  uptime: number
  /** Its clock, as a Unix time. */
  time: number
  version: string
  pointer_size: number
  curr_connections: number
  total_connections: number
  cmd_get: number
  cmd_set: number
  cmd_flush: number
  cmd_touch: number
  get_hits: number
  get_misses: number
  delete_hits: number
  delete_misses: number
  incr_hits: number
  incr_misses: number
  decr_hits: number
  decr_misses: number
  cas_hits: number
  cas_misses: number
  cas_badval: number
  touch_hits: number
  touch_misses: number
  bytes_read: number
  bytes_written: number
  /** Bytes that items may take: `-m`. */
  limit_maxbytes: number
  threads: number
  /** Bytes that items take. */
  bytes: number
  curr_items: number
  total_items: number
  evictions: number
}

/**
 * Reads `STAT <name> <value>` lines, those of `detail dump` (`PREFIX …`) and of `cachedump` (`ITEM …`); what looks like
 * a number that is exact is one. Answers of one word, such as RESET, hold no statistics.
 */
export function readStatistics(lines: readonly string[]): ServerStatistics {
  return Object.fromEntries(lines.flatMap(readLine)) as ServerStatistics
}

function readLine(line: string): [string, string | number][] {
  const [, name, value = ''] = /^(?:STAT|PREFIX|ITEM) (\S+) ?(.*)$/s.exec(line) ?? []
  if (name === undefined) return []
  const isNumber = /^\d+(?:\.\d+)?$/.test(value) && Number.isSafeInteger(Math.trunc(Number(value)))
  return [[name, isNumber ? Number(value) : value]]
}
