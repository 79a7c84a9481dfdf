import {
  booleanOption,
  checkOptions,
  kindOf,
  MemcacheOptionError,
  positiveOption,
  positiveWholeOption,
  textOption,
} from 'memcache-ts-protocol'
import { readValueOf } from '../errors.ts'

/** Options by npm memcached's names; times are in milliseconds. */
export interface MemcachedOptions {
  /** The number of connections per server. Default 2: requests are pipelined, so few are enough. */
  poolSize?: number | undefined
  /** The time limit of an operation. Default 5000. */
  timeout?: number | undefined
  /** The time after which a connection without operations is closed. Default 5000. */
  idle?: number | undefined
  /** A prefix for every key, without a separator. */
  namespace?: string | undefined
  /** The maximum length of a key. Default 250. Longer keys are hashed, unless `keyCompression` is false. */
  maxKeySize?: number | undefined
  keyCompression?: boolean | undefined
  /** The maximum size of a value in bytes; larger values are refused. Default 1048576. */
  maxValue?: number | undefined
  /** The maximum number of operations that wait on one connection; -1 is the client's own limit. Default -1. */
  maxQueueSize?: number | undefined
  /** Whether keys go to the next server while theirs is away. Default false. */
  remove?: boolean | undefined
  /** Accepted with `remove`, but ignored: keys go to the next of `servers`. */
  failOverServers?: string | readonly string[] | undefined
  /** The hash of the ring of servers. Only `md5`, the default, is supported. */
  algorithm?: string | undefined
  /** The kind of the ring. Only `ketama`, the default, is supported. */
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

/** The defaults of npm memcached's `config`, for the options that have an effect here. */
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
 * Returns the options of a client: its own, then those of `Memcached.config`, then the defaults.
 *
 * @throws MemcacheOptionError if a name is unknown, a value is invalid, or the ring of servers is not supported.
 */
export function resolveMemcachedOptions(config: MemcachedOptions, given: MemcachedOptions): MemcachedOptions {
  return readValueOf('the options of Memcached', () => {
    checkOptions('Memcached', given, { names: OPTION_NAMES })
    const options = { ...DEFAULT_CONFIG, ...config, ...given }
    checkValues(options)
    const { algorithm = 'md5', compatibility = 'ketama' } = options
    if (algorithm !== 'md5' || compatibility !== 'ketama') {
      throw new MemcacheOptionError(
        `only npm memcached's defaults, md5 and ketama, are supported as algorithm and compatibility, got '${algorithm}' and '${compatibility}': leave both out`,
      )
    }
    return options
  })
}

/** Checks the values of the options that have an effect. */
function checkValues(options: MemcachedOptions): void {
  for (const name of ['poolSize', 'maxKeySize'] as const) {
    if (options[name] !== undefined) positiveWholeOption(name, options[name])
  }
  for (const name of ['timeout', 'idle', 'maxValue'] as const) {
    if (options[name] !== undefined) positiveOption(name, options[name])
  }
  for (const name of ['keyCompression', 'remove'] as const) {
    if (options[name] !== undefined) booleanOption(name, options[name])
  }
  for (const name of ['namespace', 'algorithm', 'compatibility'] as const) {
    if (options[name] !== undefined) textOption(name, options[name])
  }
  const { maxQueueSize } = options
  if (maxQueueSize !== undefined && !Number.isInteger(maxQueueSize)) {
    throw new MemcacheOptionError(
      `maxQueueSize must be a whole number, or -1 for the client's own limit, got ${typeof maxQueueSize === 'number' ? maxQueueSize : kindOf(maxQueueSize)}`,
    )
  }
}
