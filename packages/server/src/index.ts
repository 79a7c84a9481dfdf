export { MemcachedServer } from './memcached-server.ts'
export type { MemcachedServerEvents } from './memcached-server.ts'
export type { MemcachedServerOptions } from './options.ts'
export type { ServerTlsOptions, TlsKeyFormat, TlsVerifyMode, TlsVersion } from './tls/tls-options.ts'
export {
  MemcacheClosedError,
  MemcacheConnectionError,
  MemcacheError,
  MemcacheOptionError,
  systemClock,
} from 'memcache-ts-protocol'
export type { Clock } from 'memcache-ts-protocol'
