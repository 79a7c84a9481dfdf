export { instrumentMemcache } from './instrument-memcache.ts'
export type { MemcacheInstrumentationOptions } from './instrument-memcache.ts'
export { instrumentMemcachedClients } from 'memcache-ts-client/otel'
