import { judgeOutage } from './outage.js'

export const description =
  'the server refuses or hangs: 100 ms more on the first call, then 1 ms at p99, back within 2 s, and no error'

export function run({ realMemcached }) {
  return judgeOutage(realMemcached, (cache) => (key) => cache.getOrSet(key, () => 'loaded', 60))
}
