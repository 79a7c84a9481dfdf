import {
  formatFlushAll,
  formatStats,
  formatVerbosity,
  MemcacheOptionError,
  Opcode,
  textOption,
} from 'memcache-ts-protocol'
import { checkCall } from './call-deadline.ts'
import { VERSION_REQUEST } from './connection/handshake.ts'
import type { CallOptions } from './call-options.ts'
import type { Dispatcher, ServerPool } from './dispatcher.ts'
import { LinesOperation } from './operations/lines-operation.ts'
import type { LinesRequest } from './operations/lines-operation.ts'

/** The commands to whole servers: to all of them, or to the server that the call names. */
export class ServerCommands {
  readonly #dispatcher: Dispatcher

  constructor(dispatcher: Dispatcher) {
    this.#dispatcher = dispatcher
  }

  /** Returns every server's response to a request, by its name. Rejects if one server fails. */
  async onAll(request: LinesRequest, options: CallOptions | undefined): Promise<Map<string, string[]>> {
    checkCall(options)
    const responses = this.#onEach(request, options)
    return new Map(await Promise.all(responses.map(async ([server, response]) => [server, await response] as const)))
  }

  /** Returns for each server `undefined` if it responds to a request, otherwise the error. Never rejects. */
  async failuresOn(request: LinesRequest, options: CallOptions | undefined): Promise<Map<string, Error | undefined>> {
    const responses = this.#onEach(request, options)
    const settled = await Promise.allSettled(responses.map(([, response]) => response))
    return new Map(
      settled.map((response, index) => [
        responses[index]![0],
        response.status === 'fulfilled' ? undefined : (response.reason as Error),
      ]),
    )
  }

  #onEach(request: LinesRequest, options: CallOptions | undefined): [server: string, response: Promise<string[]>][] {
    const ask = (pool: ServerPool): Promise<string[]> =>
      new Promise((resolve, reject) => {
        const operation = new LinesOperation(request, resolve, reject)
        this.#dispatcher.sendBy(pool.for(''), operation, options)
      })
    const { pools } = this.#dispatcher
    const selected = options?.server === undefined ? pools : [this.#dispatcher.poolFor('', options)]
    return selected.map((pool) => [pool.address.name, ask(pool)])
  }
}

/** `version`, whose response must be a version. */
export const VERSION_OF_SERVER: LinesRequest = { ...VERSION_REQUEST, line: /^VERSION/ }

const OK = /^OK$/

/**
 * Returns the request of `flush_all`.
 *
 * @param exptime the time of the invalidation; 0 is now.
 */
export function flushRequest(exptime: number): LinesRequest {
  const extra = exptime > 0 ? { extra: exptime } : {}
  return { text: formatFlushAll(exptime), line: OK, writes: true, binary: { opcode: Opcode.flush, ...extra } }
}

/** Returns the request of `verbosity`. */
export function verbosityRequest(level: number): LinesRequest {
  const binary = { opcode: Opcode.verbosity, extra: level }
  return { text: formatVerbosity(level), line: OK, writes: true, binary }
}

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

/** The beginning of statistics lines, including those of `detail dump` and `cachedump`. */
const STATISTICS_LINE = /^(?:STAT|PREFIX|ITEM) /

/**
 * Returns the request of `stats`.
 *
 * @throws MemcacheOptionError if the form does not consist of words.
 */
export function statisticsRequest(form: string | undefined): LinesRequest {
  if (form !== undefined && !/^[\w ]+$/.test(textOption('form', form))) {
    throw new MemcacheOptionError(`the argument of stats must be words, such as 'items', got ${JSON.stringify(form)}`)
  }
  const binary = { opcode: Opcode.stat, ...(form === undefined ? {} : { key: form }) }
  return { text: formatStats(form), untilEnd: true, lists: STATISTICS_LINE, binary }
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
