import {
  checkOptions,
  checkOptionTypes,
  choiceOption,
  DEFAULT_ITEM_MAX_BYTES,
  DEFAULT_PORT,
  isMemcacheError,
  kindOf,
  MemcacheOptionError,
  rangeOption,
  textOption,
} from 'memcache-ts-protocol'
import type { Clock } from 'memcache-ts-protocol'
import { MAX_MEMORY_MB } from './store/page-memory.ts'
import { DEFAULT_TUNING, resolveTuning } from './tuning.ts'
import type { ServerTuning } from './tuning.ts'
import { resolveTlsOptions } from './tls/tls-options.ts'
import type { ResolvedTlsOptions, ServerTlsOptions } from './tls/tls-options.ts'

/** Options of a `MemcachedServer`: the long flags of the command line, with units. */
export interface MemcachedServerOptions {
  /** TCP port; 0 is a free one. Default 11211. */
  port?: number | undefined
  /** UDP port (`-U`); 0 is a free one. It cannot be used with a unix socket or with authentication. Default: no UDP. */
  udpPort?: number | undefined
  /**
   * The longest response, in bytes, to a UDP request from an address other than loopback; a longer request allows a
   * response of the same length. The sender of a datagram can be forged: with a higher limit, the server can be used to
   * flood others. Default 0: no reply is longer than its request.
   */
  udpReplyMaxBytes?: number | undefined
  /** Whether the server listens on UDP only (`-p 0`). Default false. */
  disableTcp?: boolean | undefined
  /**
   * Address to listen on, or several, each with or without its own port: `'127.0.0.1'`, `'[::1]:11212'`. Default
   * 127.0.0.1, because there is no password by default. With `tls`, `notls:` before an address leaves it unencrypted,
   * `mtls:` requires client certificates there, `btls:` requests none.
   */
  host?: string | readonly string[] | undefined
  /** Path of a unix socket to listen on, instead of TCP (`-s`). */
  unixSocket?: string | undefined
  /** Its permissions (`-a`). Default 0o700. */
  unixSocketMode?: number | undefined
  /** Item memory in MiB (`-m`). Default 64. */
  memoryLimitMb?: number | undefined
  /** The largest item in bytes (`-I`). Default 1 MiB. */
  itemMaxBytes?: number | undefined
  /** Whether a full memory refuses new items instead of evicting old ones (`-M`). Default false. */
  disableEvictions?: boolean | undefined
  /** The maximum number of open connections (`-c`). Default 1024. */
  maxConnections?: number | undefined
  /** The maximum number of connections that wait to be accepted (`-b`). Default 1024. */
  backlog?: number | undefined
  /** Requests of one connection before the others have their turn (`-R`). Default 20. */
  maxRequestsPerEvent?: number | undefined
  /**
   * Responses that may wait in memory before they are sent; 0 for no limit (`-o read_buf_mem_limit`). A `get` with more
   * keys is refused, and a connection that pipelines more requests is closed. No effect from `maxRequestsPerEvent` and
   * from 512 keys on, because then the responses are sent first. Default 0.
   */
  maxPendingResponses?: number | undefined
  /** Seconds after which a connection that sends nothing is closed; 0 means never (`-o idle_timeout`). Default 0. */
  idleTimeoutSeconds?: number | undefined
  /** Whether items have no cas uniques (`-C`). Default false. */
  disableCas?: boolean | undefined
  /** Whether `flush_all` is refused (`-F`). Default false. */
  disableFlushAll?: boolean | undefined
  /** Whether `stats cachedump`, `stats detail` and the crawler's dumps are refused (`-X`). Default false. */
  disableDumping?: boolean | undefined
  /** Whether `watch` is refused (`-W`). Default false. */
  disableWatch?: boolean | undefined
  /**
   * File of users and passwords, one `user:password` a line: clients have to authenticate by the text protocol's `set`
   * first (`-Y`). Default: every client may connect.
   */
  authFile?: string | undefined
  /**
   * File of users and passwords, one `user:password` a line: clients have to authenticate by SASL PLAIN in the binary
   * protocol, and no other protocol is spoken (`-S` with `MEMCACHED_SASL_PWDB`). Default: every client may connect.
   */
  saslPasswordFile?: string | undefined
  /** Encrypts TCP connections (`-Z`, `-o ssl_…`); a unix socket stays plain. Default: nothing is encrypted. */
  tls?: ServerTlsOptions | undefined
  /**
   * Keeps the items over a restart (`-e`): `close()` writes them to this file, `listen()` reads and removes it.
   * Default: they are lost.
   */
  memoryFile?: string | undefined
  /** Bytes of lines that wait for a watcher that reads slowly (`-o watcher_logbuf_size`). Default 256 KiB. */
  watcherBufferBytes?: number | undefined
  /** Whether a client may end the server (`-A`). Default false. */
  enableShutdown?: boolean | undefined
  /** Whether `debugtime` may move the clock, for tests. Default false. */
  debugCommands?: boolean | undefined
  /**
   * Counts gets, sets and deletes by the part of the key before this character (`-D`). Default: nothing is counted; the
   * character is `:` if `stats detail on` enables it.
   */
  prefixDelimiter?: string | undefined
  /** The protocol (`-B`): text, binary, or either, chosen by the first byte of a connection. Default auto. */
  protocol?: 'auto' | 'ascii' | 'binary' | undefined
  /** 0 to 3 (`-v`). Default 0. */
  verbosity?: number | undefined
  /**
   * Serves a dashboard and `/metrics` over HTTP on this address while the server listens (`--dashboard`):
   * `'127.0.0.1:11212'`, `':0'`. `true` is 127.0.0.1:11212. Default: none.
   */
  dashboard?: string | boolean | undefined
  /**
   * The token for the dashboard's key browser and actions (`--dashboard-token`), at least 8 characters. A dashboard
   * that does not listen on loopback needs a token, and then requires it for every page. Default: none, the dashboard
   * is read-only.
   */
  dashboardToken?: string | undefined
  /** The settings of the engine (`-f`, `-n`, `-o`); their defaults are memcached's. */
  tuning?: Partial<ServerTuning> | undefined
  /** The clock; for tests. */
  clock?: Clock | undefined
}

/** The options with their defaults; `udpPort` is -1 without UDP. */
export type ResolvedServerOptions = Omit<
  { [Name in Exclude<keyof MemcachedServerOptions, 'clock' | 'tls'>]-?: NonNullable<MemcachedServerOptions[Name]> },
  'tuning' | 'host' | 'dashboard'
> & {
  readonly host: readonly string[]
  readonly dashboard: string
  readonly tuning: ServerTuning
  readonly tls: ResolvedTlsOptions | undefined
}

/** `udpPort` of a server without UDP. */
export const NO_UDP = -1
/** The default of `maxConnections`, as in memcached. */
export const DEFAULT_MAX_CONNECTIONS = 1024

const DEFAULTS: ResolvedServerOptions = {
  port: DEFAULT_PORT,
  udpPort: NO_UDP,
  udpReplyMaxBytes: 0,
  disableTcp: false,
  host: ['127.0.0.1'],
  unixSocket: '',
  unixSocketMode: 0o700,
  memoryLimitMb: 64,
  itemMaxBytes: DEFAULT_ITEM_MAX_BYTES,
  disableEvictions: false,
  maxConnections: DEFAULT_MAX_CONNECTIONS,
  backlog: 1024,
  maxRequestsPerEvent: 20,
  maxPendingResponses: 0,
  idleTimeoutSeconds: 0,
  disableCas: false,
  disableFlushAll: false,
  disableDumping: false,
  disableWatch: false,
  authFile: '',
  saslPasswordFile: '',
  memoryFile: '',
  watcherBufferBytes: 256 * 1024,
  enableShutdown: false,
  debugCommands: false,
  prefixDelimiter: '',
  protocol: 'auto',
  verbosity: 0,
  tls: undefined,
  dashboard: '',
  dashboardToken: '',
  tuning: DEFAULT_TUNING,
}

/** The address of the dashboard if the option is `true`. */
const DEFAULT_DASHBOARD_ADDRESS = '127.0.0.1:11212'

const OPTION_NAMES = [...Object.keys(DEFAULTS), 'clock']
const MIN_ITEM_MAX_BYTES = 1024
const MAX_ITEM_MAX_BYTES = 1024 * 1024 * 1024

/**
 * Fills in the defaults.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, or cannot be read.
 */
export function resolveServerOptions(options: MemcachedServerOptions): ResolvedServerOptions {
  try {
    return withDefaults(options)
  } catch (cause) {
    if (isMemcacheError(cause)) throw cause
    // A getter or a proxy of the application has thrown.
    throw new MemcacheOptionError('the options of a MemcachedServer cannot be read', { cause })
  }
}

function withDefaults(options: MemcachedServerOptions): ResolvedServerOptions {
  checkOptions('MemcachedServer', options, {
    names: OPTION_NAMES,
    hints: { memory: 'memoryLimitMb', maxConns: 'maxConnections' },
  })
  const { clock, host, tuning, tls, ...rest } = options
  if (clock !== undefined && typeof clock?.nowMs !== 'function') {
    throw new MemcacheOptionError(`clock must have nowMs(), got ${kindOf(clock)}`)
  }
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
  const { dashboard: _address, ...typed } = given
  checkOptionTypes(typed, DEFAULTS)
  const hosts = host === undefined ? DEFAULTS.host : [host].flat()
  for (const address of hosts) textOption('host', address)
  if (hosts.length === 0) throw new MemcacheOptionError('host must be an address or a list of at least one')
  const base = {
    ...DEFAULTS,
    ...given,
    host: hosts,
    dashboard: dashboardAddress(rest.dashboard),
  }
  rangeOption('port', base.port, [0, 65_535])
  if (given['udpPort'] !== undefined) rangeOption('udpPort', base.udpPort, [0, 65_535])
  rangeOption('udpReplyMaxBytes', base.udpReplyMaxBytes, [0, 0x7fff_ffff])
  rangeOption('memoryLimitMb', base.memoryLimitMb, [1, MAX_MEMORY_MB])
  rangeOption('itemMaxBytes', base.itemMaxBytes, [MIN_ITEM_MAX_BYTES, MAX_ITEM_MAX_BYTES])
  rangeOption('maxConnections', base.maxConnections, [1, Number.MAX_SAFE_INTEGER])
  rangeOption('backlog', base.backlog, [1, 0x7fff_ffff])
  rangeOption('maxRequestsPerEvent', base.maxRequestsPerEvent, [1, Number.MAX_SAFE_INTEGER])
  rangeOption('maxPendingResponses', base.maxPendingResponses, [0, Number.MAX_SAFE_INTEGER])
  rangeOption('idleTimeoutSeconds', base.idleTimeoutSeconds, [0, Number.MAX_SAFE_INTEGER])
  rangeOption('watcherBufferBytes', base.watcherBufferBytes, [2048, 1024 * 1024 * 1024])
  rangeOption('verbosity', base.verbosity, [0, Number.MAX_SAFE_INTEGER])
  rangeOption('unixSocketMode', base.unixSocketMode, [0, 0o777])
  if (base.authFile !== '' && base.protocol === 'binary') {
    throw new MemcacheOptionError(
      "authFile works only with the text protocol: leave protocol out, or set it to 'ascii'",
    )
  }
  if (base.saslPasswordFile !== '') {
    if (base.authFile !== '') {
      throw new MemcacheOptionError(
        'authFile and saslPasswordFile exclude each other, since each needs another protocol: set one of them',
      )
    }
    if (given['protocol'] !== undefined && base.protocol !== 'binary') {
      throw new MemcacheOptionError(
        "saslPasswordFile works only with the binary protocol: leave protocol out, or set it to 'binary'",
      )
    }
    base.protocol = 'binary'
  }
  if (base.udpPort !== NO_UDP) refuseWithUdp(base)
  else if (base.disableTcp && base.unixSocket === '') {
    throw new MemcacheOptionError('with disableTcp, the server has no address: set udpPort or unixSocket')
  }
  choiceOption('protocol', base.protocol, ['auto', 'ascii', 'binary'])
  if (base.prefixDelimiter.length > 1) {
    throw new MemcacheOptionError(`prefixDelimiter must be one character, got '${base.prefixDelimiter}'`)
  }
  if (base.itemMaxBytes > (base.memoryLimitMb * 1024 * 1024) / 2) {
    throw new MemcacheOptionError(
      `itemMaxBytes (${base.itemMaxBytes}) must be at most half of memoryLimitMb (${base.memoryLimitMb}): raise memoryLimitMb, or lower itemMaxBytes`,
    )
  }
  return {
    ...base,
    tls: tls === undefined ? undefined : resolveTlsOptions(tls),
    tuning: resolveTuning(tuning, base.itemMaxBytes),
  }
}

/**
 * Refuses options together with UDP, whose clients cannot be authenticated, or which memcached does not combine with
 * it.
 */
function refuseWithUdp({ authFile, saslPasswordFile, unixSocket }: ResolvedServerOptions): void {
  const other = Object.entries({ authFile, saslPasswordFile, unixSocket }).find(([, value]) => value !== '')
  if (other !== undefined)
    throw new MemcacheOptionError(`udpPort cannot be used with ${other[0]}: leave out one of them`)
}

function dashboardAddress(dashboard: unknown): string {
  if (dashboard === undefined || dashboard === false) return ''
  if (dashboard === true) return DEFAULT_DASHBOARD_ADDRESS
  if (typeof dashboard !== 'string') {
    throw new MemcacheOptionError(
      `dashboard must be an address such as '${DEFAULT_DASHBOARD_ADDRESS}', or true, got a ${typeof dashboard}`,
    )
  }
  return dashboard
}
