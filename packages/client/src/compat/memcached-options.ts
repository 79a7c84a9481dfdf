import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'

/** Options by npm memcached's names; times are in milliseconds. */
export interface MemcachedOptions {
  /** Connections a server. Default 2: requests are pipelined, so few are enough. */
  poolSize?: number | undefined
  /** How long an operation may take. Default 5000. */
  timeout?: number | undefined
  /** A connection on which nothing was asked for this long is closed. Default 5000. */
  idle?: number | undefined
  /** Put before every key, as it is. */
  namespace?: string | undefined
  /** The longest key. Default 250. Longer ones are hashed, unless `keyCompression` is false. */
  maxKeySize?: number | undefined
  keyCompression?: boolean | undefined
  /** Values over this many bytes are refused. Default 1048576. */
  maxValue?: number | undefined
  /** The most operations that wait on one connection; -1 is the client's own limit. Default -1. */
  maxQueueSize?: number | undefined
  /** Whether keys go to the next server while theirs is away. Default false. */
  remove?: boolean | undefined
  /** Accepted with `remove`, but ignored: keys go to the next of the servers that there are. */
  failOverServers?: string | readonly string[] | undefined
  /** The hash of the ring of servers. Only `md5`, the default, is known. */
  algorithm?: string | undefined
  /** How the ring is made. Only `ketama`, the default, is known. */
  compatibility?: string | undefined
  /** Accepted but ignored: reconnects are always tried, with growing pauses, and operations are not repeated. */
  reconnect?: number | undefined
  retries?: number | undefined
  retry?: number | undefined
  failures?: number | undefined
  failuresTimeout?: number | undefined
  factor?: number | undefined
  minTimeout?: number | undefined
  maxTimeout?: number | undefined
  randomize?: boolean | undefined
  /** Accepted but ignored. */
  maxExpiration?: number | undefined
  activeQueries?: number | undefined
  redundancy?: boolean | number | undefined
  debug?: boolean | undefined
}

const OPTION_NAMES = [
  'poolSize',
  'timeout',
  'idle',
  'namespace',
  'maxKeySize',
  'keyCompression',
  'maxValue',
  'maxQueueSize',
  'remove',
  'failOverServers',
  'algorithm',
  'compatibility',
  'reconnect',
  'retries',
  'retry',
  'failures',
  'failuresTimeout',
  'factor',
  'minTimeout',
  'maxTimeout',
  'randomize',
  'maxExpiration',
  'activeQueries',
  'redundancy',
  'debug',
] as const satisfies readonly (keyof MemcachedOptions)[]

/** What npm memcached's `config` holds of the options that have an effect here. */
export const DEFAULT_CONFIG: MemcachedOptions = {
  poolSize: 2,
  timeout: 5000,
  idle: 5000,
  namespace: '',
  maxKeySize: 250,
  keyCompression: true,
  maxValue: 1_048_576,
  maxQueueSize: -1,
  remove: false,
  algorithm: 'md5',
  compatibility: 'ketama',
}

/**
 * Checks options by npm memcached's names.
 *
 * @throws MemcacheOptionError for an unknown name, or a ring of servers that is not known.
 */
export function checkMemcachedOptions(options: MemcachedOptions): void {
  checkOptions('Memcached', options, OPTION_NAMES, {})
  const { algorithm = 'md5', compatibility = 'ketama' } = options
  if (algorithm !== 'md5' || compatibility !== 'ketama') {
    throw new MemcacheOptionError(
      `keys are found by md5 and ketama, npm memcached's defaults, got '${algorithm}' and '${compatibility}': leave both out`,
    )
  }
}
