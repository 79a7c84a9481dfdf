export type {
  CallOptions,
  ClientKey,
  CounterOptions,
  MetaArithmeticOptions,
  MetaCounter,
  MetaDeleteOptions,
  MetaGetOptions,
  MetaItem,
  MetaSetOptions,
  MetaSetResult,
  WriteOptions,
  Written,
} from './call-options.ts'
export { emitSafely, reportUncaught } from './errors.ts'
export { hashedKey } from './client-key.ts'
export { MemcachedClient } from './memcached-client.ts'
export type { ItemWithCas, MultiGetResult, MultiResult } from './call-results.ts'
export type { MemcachedClientEvents } from './memcached-client.ts'
export type { DumpedItem, MetadumpOptions } from './metadump.ts'
export type { MetaCommands } from './meta-commands.ts'
export type { MemcachedClientOptions } from './options.ts'
export type { HashStrategy } from './routing/create-router.ts'
export type { ServerStatistics } from './server-commands.ts'
export type { OperationContext } from './tracing.ts'
export { parseServers } from './server-address.ts'
export type { ServerAddress, ServerList, ServerListOptions, ServerStream } from './server-address.ts'
export type { PresetName } from './compat/presets/preset-codec.ts'
export { typedCodec } from './values/typed-codec.ts'
export type { TypedCodecOptions } from './values/typed-codec.ts'
export type { CompressionAlgorithm, CompressionOptions } from './values/compression.ts'
export type { EncodedValue, ValueCodec } from './values/value-codec.ts'
export {
  MemcacheAuthError,
  MemcacheClosedError,
  MemcacheConnectionError,
  MemcacheDecodeError,
  MemcacheError,
  MemcacheKeyError,
  MemcacheOptionError,
  MemcacheProtocolError,
  MemcacheQueueError,
  MemcacheServerError,
  MemcacheTimeoutError,
  MemcacheTooLargeError,
  MemcacheUnsupportedError,
} from 'memcache-ts-protocol'
export type { Key, KeyPart, MemcacheErrorCode, MemcacheErrorDetails, Ttl } from 'memcache-ts-protocol'
export type { ConnectionReport, ConnectionState } from './connection/connection-contract.ts'
