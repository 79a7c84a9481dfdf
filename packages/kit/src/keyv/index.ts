export { KeyvMemcache } from './keyv-memcache.ts'
