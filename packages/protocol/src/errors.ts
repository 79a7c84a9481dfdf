/** The `code` of an error, for `switch`; every error of the kit has one. */
export type MemcacheErrorCode =
  | 'ERR_MEMCACHE_CONNECTION'
  | 'ERR_MEMCACHE_TIMEOUT'
  | 'ERR_MEMCACHE_QUEUE'
  | 'ERR_MEMCACHE_AUTH'
  | 'ERR_MEMCACHE_KEY'
  | 'ERR_MEMCACHE_TOO_LARGE'
  | 'ERR_MEMCACHE_DECODE'
  | 'ERR_MEMCACHE_SERVER'
  | 'ERR_MEMCACHE_PROTOCOL'
  | 'ERR_MEMCACHE_UNSUPPORTED'
  | 'ERR_MEMCACHE_CLOSED'
  | 'ERR_MEMCACHE_OPTION'
  | 'ERR_MEMCACHE_LOADER_TIMEOUT'
  | 'ERR_MEMCACHE_LIMIT'

/** The names of the classes: of the classes themselves, a bundler that makes code small leaves two letters. */
const NAMES: Readonly<Record<MemcacheErrorCode, string>> = {
  ERR_MEMCACHE_CONNECTION: 'MemcacheConnectionError',
  ERR_MEMCACHE_TIMEOUT: 'MemcacheTimeoutError',
  ERR_MEMCACHE_QUEUE: 'MemcacheQueueError',
  ERR_MEMCACHE_AUTH: 'MemcacheAuthError',
  ERR_MEMCACHE_KEY: 'MemcacheKeyError',
  ERR_MEMCACHE_TOO_LARGE: 'MemcacheTooLargeError',
  ERR_MEMCACHE_DECODE: 'MemcacheDecodeError',
  ERR_MEMCACHE_SERVER: 'MemcacheServerError',
  ERR_MEMCACHE_PROTOCOL: 'MemcacheProtocolError',
  ERR_MEMCACHE_UNSUPPORTED: 'MemcacheUnsupportedError',
  ERR_MEMCACHE_CLOSED: 'MemcacheClosedError',
  ERR_MEMCACHE_OPTION: 'MemcacheOptionError',
  ERR_MEMCACHE_LOADER_TIMEOUT: 'MemcacheLoaderTimeoutError',
  ERR_MEMCACHE_LIMIT: 'MemcacheLimitError',
}

/** The details of an error. */
export interface MemcacheErrorDetails {
  /** The server that the error came from or concerns, as `host:port` or the path of a socket. */
  server?: string | undefined
  /** The key of the operation as the caller gave it. */
  key?: string | undefined
  /** Whether the same call may succeed if it is repeated. */
  retryable?: boolean | undefined
  /** Whether the server may have executed the operation although no response arrived. */
  ambiguous?: boolean | undefined
  /** The underlying error. */
  cause?: unknown
}

/** The base class of all errors of the kit; `code` distinguishes them. */
export class MemcacheError extends Error {
  readonly code: MemcacheErrorCode
  // Only known values become fields, so that a printed error has no empty ones.
  declare readonly server: string | undefined
  declare readonly key: string | undefined
  declare readonly retryable: boolean
  declare readonly ambiguous: boolean

  static {
    Object.assign(this.prototype, { server: undefined, key: undefined, retryable: false, ambiguous: false })
  }

  constructor(code: MemcacheErrorCode, message: string, details: MemcacheErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.name = new.target === MemcacheError ? 'MemcacheError' : NAMES[code]
    this.code = code
    const { server, key, retryable, ambiguous } = details
    Object.assign(this, {
      ...(server !== undefined && { server }),
      ...(key !== undefined && { key }),
      ...(retryable === true && { retryable }),
      ...(ambiguous === true && { ambiguous }),
    })
  }
}

/** Returns whether a thrown value is a `MemcacheError`. Never throws: a revoked proxy throws when it is accessed. */
export function isMemcacheError(thrown: unknown): thrown is MemcacheError {
  try {
    return thrown instanceof MemcacheError
  } catch {
    return false
  }
}

/** The connection could not be established, or was lost before the response. */
export class MemcacheConnectionError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_CONNECTION', message, { retryable: true, ...details })
  }
}

/** No response arrived within the time limit. */
export class MemcacheTimeoutError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_TIMEOUT', message, { retryable: true, ...details })
  }
}

/** The queue of waiting operations is full: there are more requests than the servers can handle. */
export class MemcacheQueueError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_QUEUE', message, { retryable: true, ...details })
  }
}

/** The server requires credentials, or refused the given ones. */
export class MemcacheAuthError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_AUTH', message, details)
  }
}

/** The key is not valid in memcached: it is empty, over 250 bytes, or has a space or control character. */
export class MemcacheKeyError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_KEY', message, details)
  }
}

/** The value exceeds the server's item limit (`-I`). */
export class MemcacheTooLargeError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_TOO_LARGE', message, details)
  }
}

/** A stored value cannot be decoded: it has unknown client flags or damaged bytes. */
export class MemcacheDecodeError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_DECODE', message, details)
  }
}

/** The server responded SERVER_ERROR, CLIENT_ERROR or ERROR. */
export class MemcacheServerError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_SERVER', message, details)
  }
}

/** The received bytes are not a response to the request; the connection is closed. */
export class MemcacheProtocolError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_PROTOCOL', message, { retryable: true, ...details })
  }
}

/** The server is too old, or a proxy too simple, for the request. */
export class MemcacheUnsupportedError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_UNSUPPORTED', message, details)
  }
}

/** The client, cache or server was closed before the call. */
export class MemcacheClosedError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_CLOSED', message, details)
  }
}

/** An option or argument is invalid; the message says what to write. */
export class MemcacheOptionError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_OPTION', message, details)
  }
}

/** A loader took longer than `hardTimeoutMs`. */
export class MemcacheLoaderTimeoutError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_LOADER_TIMEOUT', message, { retryable: true, ...details })
  }
}

/** The details of a `MemcacheLimitError`. */
export interface MemcacheLimitErrorDetails extends MemcacheErrorDetails {
  /** Milliseconds until the call may succeed, if that is known. */
  retryAfterMs?: number | undefined
}

/** A limit is exhausted: of calls in a time, or of concurrent calls. */
export class MemcacheLimitError extends MemcacheError {
  readonly retryAfterMs: number | undefined

  constructor(message: string, details: MemcacheLimitErrorDetails = {}) {
    super('ERR_MEMCACHE_LIMIT', message, details)
    this.retryAfterMs = details.retryAfterMs
  }
}
