export { collectMemcache } from './collect-memcache.ts'
export type { CollectOptions } from './collect-memcache.ts'
