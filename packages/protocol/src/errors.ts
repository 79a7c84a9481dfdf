/** What went wrong, for `switch`: every error of the kit carries one of these in `code`. */
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

/** What an error tells besides its message. */
export interface MemcacheErrorDetails {
  /** The server that it happened on, as `host:port` or a socket's path. */
  server?: string | undefined
  /** The key of the operation, as the caller gave it. */
  key?: string | undefined
  /** Whether the same call may succeed when it is made again. */
  retryable?: boolean | undefined
  /** Whether the server may have carried the operation out although no answer came. */
  ambiguous?: boolean | undefined
  /** The error underneath. */
  cause?: unknown
}

/** The base of all errors of the kit; catch it to catch them all, match `code` to tell them apart. */
export class MemcacheError extends Error {
  readonly code: MemcacheErrorCode
  // Only what is known is a field of its own, so that an error prints no empty ones.
  declare readonly server: string | undefined
  declare readonly key: string | undefined
  declare readonly retryable: boolean
  declare readonly ambiguous: boolean

  static {
    Object.assign(this.prototype, { server: undefined, key: undefined, retryable: false, ambiguous: false })
  }

  constructor(code: MemcacheErrorCode, message: string, details: MemcacheErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.name = new.target.name
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

/** No connection could be made, or it was lost before the answer. */
export class MemcacheConnectionError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_CONNECTION', message, { retryable: true, ...details })
  }
}

/** No answer within the time allowed. */
export class MemcacheTimeoutError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_TIMEOUT', message, { retryable: true, ...details })
  }
}

/** The queue of waiting operations is full: the caller asks for more than the servers answer. */
export class MemcacheQueueError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_QUEUE', message, { retryable: true, ...details })
  }
}

/** The server wants credentials, or refused those it got. */
export class MemcacheAuthError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_AUTH', message, details)
  }
}

/** A key that memcached cannot hold: empty, over 250 bytes, or with a space or control character. */
export class MemcacheKeyError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_KEY', message, details)
  }
}

/** A value over the item limit of the server (`-I`). */
export class MemcacheTooLargeError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_TOO_LARGE', message, details)
  }
}

/** A stored value that could not be turned back: other client flags than ours, or broken bytes. */
export class MemcacheDecodeError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_DECODE', message, details)
  }
}

/** The server answered SERVER_ERROR, CLIENT_ERROR or ERROR. */
export class MemcacheServerError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_SERVER', message, details)
  }
}

/** Bytes that are no answer to what was asked; the connection is dropped with it. */
export class MemcacheProtocolError extends MemcacheError {
  constructor(message: string, details?: MemcacheErrorDetails) {
    super('ERR_MEMCACHE_PROTOCOL', message, { retryable: true, ...details })
  }
}

/** The server is too old, or a proxy too simple, for what was asked. */
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

/** An option or argument that cannot be; the message says what to write. */
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

/** What a `MemcacheLimitError` tells besides its message. */
export interface MemcacheLimitErrorDetails extends MemcacheErrorDetails {
  /** Milliseconds until there is room, if that is known. */
  retryAfterMs?: number | undefined
}

/** A limit that is used up: of calls in a time, or of how many may run at once. */
export class MemcacheLimitError extends MemcacheError {
  readonly retryAfterMs: number | undefined

  constructor(message: string, details: MemcacheLimitErrorDetails = {}) {
    super('ERR_MEMCACHE_LIMIT', message, details)
    this.retryAfterMs = details.retryAfterMs
  }
}
