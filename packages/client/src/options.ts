import { checkOptions, MemcacheOptionError, systemClock } from 'memcache-ts-protocol'
import type { Clock } from 'memcache-ts-protocol'
import { parseServers } from './server-address.ts'
import type { ServerAddress, ServerList, ServerListOptions, ServerStream } from './server-address.ts'
import type { ValueCodec } from './values/value-codec.ts'

/** How keys are spread over servers. */
export type HashStrategy = 'ketama' | 'modula'

/** Options of a `MemcachedClient`. */
export interface MemcachedClientOptions {
  /** The servers: a list as in `MEMCACHE_SERVERS`, or an array of such parts and of streams. Default `127.0.0.1:11211`. */
  servers?: string | readonly (string | ServerStream)[] | undefined
  /** How long an operation may take, in milliseconds. Default 500. */
  timeoutMs?: number | undefined
  /** How long connecting may take, in milliseconds. Default 1000. */
  connectTimeoutMs?: number | undefined
  /** Connections a server; requests are pipelined, so few are enough. Default 2. */
  poolSize?: number | undefined
  /** Most operations waiting on one connection; the next one is refused. Default 10 000. */
  maxQueue?: number | undefined
  /** How keys are spread over servers: `ketama` as libmemcached does it, or `modula`. Default `ketama`. */
  hash?: HashStrategy | undefined
  /** Where a key goes while its server is away: to the `next` one, or `none`. Default `next`. */
  failover?: 'next' | 'none' | undefined
  /** Put before every key, with a `:` between. */
  prefix?: string | undefined
  /** How values become bytes: `typed` (what goes in comes out), or a codec. Default `typed`. */
  values?: 'typed' | ValueCodec | undefined
  /** Where the time comes from; for tests. */
  clock?: Clock | undefined
}

/** The options with their defaults. */
export interface ResolvedClientOptions {
  readonly servers: readonly ServerAddress[]
  readonly timeoutMs: number
  readonly connectTimeoutMs: number
  readonly poolSize: number
  readonly maxQueue: number
  readonly hash: HashStrategy
  readonly failover: 'next' | 'none'
  readonly prefix: string
  readonly values: 'typed' | ValueCodec
  readonly clock: Clock
}

const KNOWN = [
  'servers',
  'timeoutMs',
  'connectTimeoutMs',
  'poolSize',
  'maxQueue',
  'hash',
  'failover',
  'prefix',
  'values',
  'clock',
] as const satisfies readonly (keyof MemcachedClientOptions)[]

const HINTS = {
  timeout: 'timeoutMs',
  connectTimeout: 'connectTimeoutMs',
  keyPrefix: 'prefix',
  namespace: 'prefix',
  hosts: 'servers',
  expires: 'a lifetime given with each call',
}

/** @throws MemcacheOptionError for an option that there is not, or a value that cannot be. */
export function resolveClientOptions(options: MemcachedClientOptions): ResolvedClientOptions {
  checkOptions('MemcachedClient', options, KNOWN, HINTS)
  const { hash = 'ketama', failover = 'next', prefix = '' } = options
  const { servers, ...fromUrl } = resolveServers(options.servers ?? '127.0.0.1:11211')
  if (hash !== 'ketama' && hash !== 'modula') {
    throw new MemcacheOptionError(`hash must be 'ketama' or 'modula', got '${String(hash)}'`)
  }
  if (failover !== 'next' && failover !== 'none') {
    throw new MemcacheOptionError(`failover must be 'next' or 'none', got '${String(failover)}'`)
  }
  return {
    servers,
    timeoutMs: positive('timeoutMs', options.timeoutMs ?? fromUrl.timeoutMs ?? 500),
    connectTimeoutMs: positive('connectTimeoutMs', options.connectTimeoutMs ?? fromUrl.connectTimeoutMs ?? 1000),
    poolSize: positive('poolSize', options.poolSize ?? fromUrl.poolSize ?? 2, true),
    maxQueue: positive('maxQueue', options.maxQueue ?? fromUrl.maxQueue ?? 10_000, true),
    hash,
    failover,
    prefix: prefix === '' ? '' : `${prefix}:`,
    values: options.values ?? 'typed',
    clock: options.clock ?? systemClock,
  }
}

/** The servers, and the options that came with them in a URL. */
function resolveServers(
  servers: string | readonly (string | ServerStream)[],
): ServerListOptions & { servers: readonly ServerAddress[] } {
  const lists = (typeof servers === 'string' ? [servers] : servers).map((server) =>
    typeof server === 'string' ? parseServers(server) : listOf(server),
  )
  const addresses = lists.flatMap((list) => list.servers)
  if (addresses.length === 0) throw new MemcacheOptionError('the list of servers is empty: give at least one')
  const names = addresses.map((address) => address.name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new MemcacheOptionError(`the server ${twice} is listed twice`)
  return Object.assign({ servers: addresses }, ...lists.map((list) => list.options))
}

function listOf(stream: ServerStream): ServerList {
  return { servers: [{ name: stream.name, stream, weight: 1 }], options: {} }
}

/** Checks a number of milliseconds, or a count. */
function positive(name: string, value: number, whole = false): number {
  if (!(value > 0) || (whole && !Number.isInteger(value))) {
    throw new MemcacheOptionError(`${name} must be ${whole ? 'a whole number' : 'a number'} over 0, got ${value}`)
  }
  return value
}
