export { systemClock } from './clock.ts'
export type { Clock } from './clock.ts'
export {
  MemcacheAuthError,
  MemcacheClosedError,
  MemcacheConnectionError,
  MemcacheDecodeError,
  MemcacheError,
  MemcacheKeyError,
  MemcacheLoaderTimeoutError,
  MemcacheOptionError,
  MemcacheProtocolError,
  MemcacheQueueError,
  MemcacheServerError,
  MemcacheTimeoutError,
  MemcacheTooLargeError,
  MemcacheUnsupportedError,
} from './errors.ts'
export type { MemcacheErrorCode, MemcacheErrorDetails } from './errors.ts'
export { FrameReader, NONE, STOP } from './frame-reader.ts'
export type { FrameHandler } from './frame-reader.ts'
export {
  DEFAULT_ITEM_MAX_BYTES,
  DEFAULT_PORT,
  MAX_BASE64_KEY_BYTES,
  MAX_KEY_BYTES,
  MAX_LINE_BYTES,
  MAX_META_FLAGS,
  MAX_OPAQUE_BYTES,
  MAX_RELATIVE_EXPTIME_SECONDS,
} from './limits.ts'
export { exptimeOf, ttlToSeconds } from './ttl.ts'
export type { Ttl } from './ttl.ts'
