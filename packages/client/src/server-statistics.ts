/**
 * The general statistics of a server; the statistics that every memcached has are named (protocol.txt, "General-purpose
 * statistics").
 */
export interface ServerStatistics extends Record<string, string | number> {
  pid: number
  /** Seconds since the start of the server. */
  uptime: number
  /** The server's clock, as a Unix time. */
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
  /** The maximum size of all items, in bytes (`-m`). */
  limit_maxbytes: number
  threads: number
  /** The size of all items, in bytes. */
  bytes: number
  curr_items: number
  total_items: number
  evictions: number
}

/**
 * Reads `STAT <name> <value>` lines, and the lines of `detail dump` (`PREFIX …`) and `cachedump` (`ITEM …`). A numeric
 * value that a number can represent exactly is a number. Responses of one word, such as RESET, have no statistics.
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
