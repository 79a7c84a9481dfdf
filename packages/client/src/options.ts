import type { ConnectionOptions as TlsOptions } from 'node:tls'
import {
  booleanOption,
  checkKeyPrefix,
  checkOptions,
  choiceOption,
  kindOf,
  MemcacheOptionError,
  positiveOption,
  positiveWholeOption,
  systemClock,
  textOption,
} from 'memcache-ts-protocol'
import type { Clock } from 'memcache-ts-protocol'
import type { PresetName } from './compat/presets/preset-codec.ts'
import { credentialsOf } from './connection/credentials.ts'
import type { Credentials } from './connection/credentials.ts'
import { tlsOptionsOf } from './connection/tls.ts'
import type { ProtocolName } from './protocols/protocol.ts'
import { HASH_STRATEGIES } from './routing/create-router.ts'
import type { HashStrategy } from './routing/create-router.ts'
import type { SocketName } from './routing/ketama.ts'
import { readValueOf } from './errors.ts'
import { parseServers } from './server-address.ts'
import type { ServerAddress, ServerList, ServerListOptions, ServerStream } from './server-address.ts'
import { DEFAULT_MAX_DECOMPRESSED_BYTES } from './values/compression.ts'
import type { CompressionAlgorithm, CompressionOptions } from './values/compression.ts'
import { createCodec } from './values/create-codec.ts'
import type { ValueCodec } from './values/value-codec.ts'

/** Options of a `MemcachedClient`. */
export interface MemcachedClientOptions {
  /** The servers: a list as in `MEMCACHE_SERVERS`, or an array of its parts and of streams. Default `127.0.0.1:11211`. */
  servers?: string | readonly (string | ServerStream)[] | undefined
  /** The time limit of an operation, in milliseconds. Default 500. */
  timeoutMs?: number | undefined
  /** The time limit for connecting, including the handshake, in milliseconds. Default 1000. */
  connectTimeoutMs?: number | undefined
  /** The time after which a connection without operations is closed, in milliseconds. Default `Infinity`: never. */
  idleTimeoutMs?: number | undefined
  /** The number of connections per server; requests are pipelined, so few are enough. Default 2. */
  poolSize?: number | undefined
  /**
   * The maximum number of operations that wait on one connection; further ones are refused, except those of one batch
   * (`setMulti`, `deleteMulti`). Default 10 000.
   */
  maxQueue?: number | undefined
  /**
   * The kind of servers: `hosted` servers have no `lru_crawler`, `me` and `watch`, so `metadump` and `meta.debug`
   * reject before a request is sent. Default `memcached`.
   */
  profile?: 'memcached' | 'hosted' | undefined
  /**
   * How keys are distributed over servers: `ketama` like libmemcached's weighted ketama, `ketama-spy` like
   * spymemcached, `rendezvous`, `jump`, or `modula` like libmemcached's default. Default `ketama`.
   */
  hash?: HashStrategy | undefined
  /** Whether the hash that chooses a key's server includes `prefix`. Default false, like libmemcached. */
  hashWithPrefix?: boolean | undefined
  /** The text that ketama hashes for a unix socket: `path:0` like libmemcached, or only its `path`. Default `path:0`. */
  hashSocketsAs?: SocketName | undefined
  /** The server of a key while its own server is away: the `next` one, or `none`. Default `next`. */
  failover?: 'next' | 'none' | undefined
  /** Whether to use TLS: `true`, or options of `tls.connect`, which are checked at once. Default false. */
  tls?: boolean | TlsOptions | undefined
  /** The username for text authentication (`-Y`) or SASL (`-S`), whichever the server supports. */
  username?: string | undefined
  password?: string | undefined
  /**
   * The protocol. `auto` detects it by the server's version and responses; if a server hangs up on text credentials,
   * SASL is tried. Default `auto`.
   */
  protocol?: ProtocolName | 'auto' | undefined
  /** Whether `servers` are configuration endpoints, as in ElastiCache and Memorystore. Default false. */
  discovery?: boolean | undefined
  /** The interval between requests to a configuration endpoint, in milliseconds. Default 60 000. */
  discoveryIntervalMs?: number | undefined
  /** A prefix for every key; a `:` is put between. */
  prefix?: string | undefined
  /** The treatment of keys over 250 bytes: `refuse`, or `hash` by SHA-256. Default `refuse`. */
  longKeys?: 'refuse' | 'hash' | undefined
  /** How values become bytes: `typed` (types are kept), the format of another client, or a codec. Default `typed`. */
  values?: 'typed' | PresetName | ValueCodec | undefined
  /** Whether to compress values: `true` for gzip over 1 kB, an algorithm, or options. Default false. */
  compression?: boolean | CompressionAlgorithm | CompressionOptions | undefined
  /**
   * The maximum size of a decompressed value, in bytes; larger values are refused when read, and not compressed when
   * stored. Default 8 MiB.
   */
  maxDecompressedBytes?: number | undefined
  /** The size of chunks in bytes, below the servers' item limit: larger values are stored in chunks. Default: never. */
  chunkBytes?: number | undefined
  /**
   * The servers' item limit (`-I`), in bytes: values that do not fit are refused before they are sent, and the stored
   * value is kept. `Infinity` leaves the check to the servers. Default: the limit is requested from each server with
   * meta commands or the binary protocol before the first value that may be over memcached's lowest limit of 1 KiB.
   */
  itemMaxBytes?: number | undefined
  /** Whether a stored value that cannot be decoded is an `error` or a `miss`. Default `error`. */
  unreadable?: 'error' | 'miss' | undefined
  /** The source of the time, for tests. */
  clock?: Clock | undefined
}

/** The options with their defaults. */
export interface ResolvedClientOptions {
  readonly servers: readonly ServerAddress[]
  readonly timeoutMs: number
  readonly connectTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly poolSize: number
  readonly maxQueue: number
  readonly profile: 'memcached' | 'hosted'
  readonly hash: HashStrategy
  readonly hashWithPrefix: boolean
  readonly hashSocketsAs: SocketName
  readonly failover: 'next' | 'none'
  readonly tls: TlsOptions | undefined
  readonly credentials: Credentials | undefined
  readonly protocol: ProtocolName | 'auto'
  readonly discovery: boolean
  readonly discoveryIntervalMs: number
  readonly prefix: string
  readonly longKeys: 'refuse' | 'hash'
  readonly codec: ValueCodec
  readonly chunkBytes: number
  readonly itemMaxBytes: number | undefined
  readonly unreadable: 'error' | 'miss'
  readonly clock: Clock
}

const OPTION_NAMES = [
  'servers',
  'timeoutMs',
  'connectTimeoutMs',
  'idleTimeoutMs',
  'poolSize',
  'maxQueue',
  'profile',
  'hash',
  'hashWithPrefix',
  'hashSocketsAs',
  'failover',
  'tls',
  'username',
  'password',
  'protocol',
  'discovery',
  'discoveryIntervalMs',
  'prefix',
  'longKeys',
  'values',
  'compression',
  'maxDecompressedBytes',
  'chunkBytes',
  'itemMaxBytes',
  'unreadable',
  'clock',
] as const satisfies readonly (keyof MemcachedClientOptions)[]

const HINTS = {
  timeout: 'timeoutMs',
  connectTimeout: 'connectTimeoutMs',
  idle: 'idleTimeoutMs',
  keyPrefix: 'prefix',
  namespace: 'prefix',
  hosts: 'servers',
  server: 'servers',
  host: 'servers',
  port: 'servers',
  url: 'servers',
  uri: 'servers',
  expires: 'a lifetime given with each call',
  compress: 'compression',
  serializer: 'values',
  codec: 'values',
  algorithm: 'hash',
  autoDiscovery: 'discovery',
  sasl: 'username` and `password',
}

/** @throws MemcacheOptionError if an option is unknown or invalid, or cannot be read. */
export function resolveClientOptions(given: MemcachedClientOptions): ResolvedClientOptions {
  return readValueOf('the options of a MemcachedClient', () => resolved(given))
}

function resolved(given: MemcachedClientOptions): ResolvedClientOptions {
  if (typeof given !== 'object' || given === null) {
    throw new MemcacheOptionError(
      `the options of a MemcachedClient must be an object or the servers as text, got ${kindOf(given)}`,
    )
  }
  checkOptions('MemcachedClient', given, { names: OPTION_NAMES, hints: HINTS })
  // A missing setting must not select the default.
  const missing = OPTION_NAMES.find((name) => given[name] === null)
  if (missing !== undefined) throw new MemcacheOptionError(`${missing} must not be null: leave it out for its default`)
  const { servers, ...fromUrl } = resolveServers(given.servers ?? '127.0.0.1:11211')
  const options = { ...fromUrl, ...withoutUndefined(given) }
  const prefix = textOption('prefix', options.prefix ?? '')
  const discovery = booleanOption('discovery', options.discovery ?? false)
  checkKeyPrefix(prefix)
  if (discovery && servers.some(({ stream, path }) => stream !== undefined || path !== undefined)) {
    throw new MemcacheOptionError('discovery needs configuration endpoints: write servers as host:port')
  }
  return {
    servers,
    timeoutMs: positiveOption('timeoutMs', options.timeoutMs ?? 500),
    connectTimeoutMs: positiveOption('connectTimeoutMs', options.connectTimeoutMs ?? 1000),
    idleTimeoutMs: positiveOption('idleTimeoutMs', options.idleTimeoutMs ?? Infinity),
    poolSize: poolSizeOf(options.poolSize ?? 2),
    maxQueue: options.maxQueue === Infinity ? Infinity : positiveWholeOption('maxQueue', options.maxQueue ?? 10_000),
    profile: choiceOption('profile', options.profile ?? 'memcached', ['memcached', 'hosted']),
    hash: choiceOption('hash', options.hash ?? 'ketama', HASH_STRATEGIES),
    hashWithPrefix: booleanOption('hashWithPrefix', options.hashWithPrefix ?? false),
    hashSocketsAs: choiceOption('hashSocketsAs', options.hashSocketsAs ?? 'path:0', ['path:0', 'path']),
    failover: choiceOption('failover', options.failover ?? 'next', ['next', 'none']),
    tls: tlsOf(withoutUndefined(given), fromUrl),
    credentials: credentialsOf(options.username, options.password),
    protocol: choiceOption('protocol', options.protocol ?? 'auto', ['auto', 'meta', 'text', 'binary']),
    discovery,
    discoveryIntervalMs: positiveOption('discoveryIntervalMs', options.discoveryIntervalMs ?? 60_000),
    prefix: prefix === '' ? '' : `${prefix}:`,
    longKeys: choiceOption('longKeys', options.longKeys ?? 'refuse', ['refuse', 'hash']),
    codec: createCodec(
      options.values ?? 'typed',
      compressionOf(options.compression),
      positiveWholeOption('maxDecompressedBytes', options.maxDecompressedBytes ?? DEFAULT_MAX_DECOMPRESSED_BYTES),
    ),
    chunkBytes: options.chunkBytes === undefined ? Infinity : positiveWholeOption('chunkBytes', options.chunkBytes),
    itemMaxBytes: options.itemMaxBytes === undefined ? undefined : positiveOption('itemMaxBytes', options.itemMaxBytes),
    unreadable: choiceOption('unreadable', options.unreadable ?? 'error', ['error', 'miss']),
    clock: clockOf(options.clock),
  }
}

/** Returns the servers, and the options of their URLs. */
function resolveServers(
  servers: string | readonly (string | ServerStream)[],
): ServerListOptions & { servers: readonly ServerAddress[] } {
  if (typeof servers !== 'string' && !Array.isArray(servers)) {
    throw new MemcacheOptionError(`servers must be text or an array, got ${kindOf(servers)}`)
  }
  const lists = (typeof servers === 'string' ? [servers] : servers).map((server, index) =>
    typeof server === 'string' ? parseServers(server) : listOf(server, index),
  )
  const addresses = lists.flatMap((list) => list.servers)
  if (addresses.length === 0) throw new MemcacheOptionError('the list of servers is empty: write at least one')
  const names = addresses.map((address) => address.name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new MemcacheOptionError(`the server ${twice} is listed twice`)
  return { ...joinOptions(lists.map((list) => list.options)), servers: addresses }
}

/**
 * Merges the options of several URLs. They apply to all servers, so they must not differ, credentials and TLS above
 * all.
 */
function joinOptions(all: readonly ServerListOptions[]): ServerListOptions {
  const joined: Record<string, unknown> = {}
  for (const [name, value] of all.flatMap((options) => Object.entries(options))) {
    if (Object.hasOwn(joined, name) && joined[name] !== value) {
      throw new MemcacheOptionError(
        `the URLs of the servers differ in ${name}, which must be the same for all: create a client for each`,
      )
    }
    joined[name] = value
  }
  return joined
}

function listOf(stream: ServerStream, index: number): ServerList {
  const { name, connect } = (stream ?? {}) as Partial<ServerStream>
  if (typeof name !== 'string' || name === '' || typeof connect !== 'function') {
    throw new MemcacheOptionError(`servers[${index}] must be text or { name, connect() }, got ${kindOf(stream)}`)
  }
  return { servers: [{ name, stream, weight: 1 }], options: {} }
}

/** @throws MemcacheOptionError if a URL requests encryption and the option forbids it. */
function tlsOf(given: MemcachedClientOptions, fromUrl: ServerListOptions): TlsOptions | undefined {
  const { tls = fromUrl.tls } = given
  if (tls === false && (fromUrl.tls === true || fromUrl.tlsCaFile !== undefined)) {
    throw new MemcacheOptionError('tls is false, but the URL of the servers requires TLS: leave one of them out')
  }
  return tlsOptionsOf(tls, fromUrl.tlsCaFile)
}

/** The maximum number of connections to a server: memcached accepts 1024 by default (`-c`). */
const MAX_POOL_SIZE = 1024

function poolSizeOf(given: number): number {
  const size = positiveWholeOption('poolSize', given)
  if (size <= MAX_POOL_SIZE) return size
  throw new MemcacheOptionError(
    `poolSize must be at most ${MAX_POOL_SIZE}, got ${size}: requests are pipelined, few connections are enough`,
  )
}

function compressionOf(given: MemcachedClientOptions['compression']): CompressionOptions | undefined {
  if (given === undefined || given === false) return undefined
  if (given === true) return {}
  return typeof given === 'string' ? { algorithm: given } : given
}

function clockOf(clock: Clock | undefined): Clock {
  if (clock === undefined) return systemClock
  if (typeof clock?.nowMs === 'function') return clock
  throw new MemcacheOptionError(`clock must have nowMs(), got ${kindOf(clock)}`)
}

function withoutUndefined<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options
}
