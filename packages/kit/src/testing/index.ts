export { testMemcache } from './test-memcache.ts'
export type { TestMemcache, TestMemcacheOptions } from './test-memcache.ts'
export type { TestServer } from './test-server.ts'
export { FakeClock } from 'memcache-ts-protocol'
