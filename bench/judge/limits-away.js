import { rateLimiter } from 'memcache-ts'
import { judgeOutage } from './outage.js'

export const description =
  'a limiter whose server refuses or hangs, for each onCacheDown: 100 ms more on the first call, then 1 ms at p99, back within 2 s, and no error'

export async function run({ realMemcached }) {
  const figures = []
  let reached = true
  for (const onCacheDown of ['local', 'open', 'closed']) {
    const judged = await judgeOutage(realMemcached, (cache) => {
      const limiter = rateLimiter({ perMinute: 1000, onCacheDown, cache })
      return (key) => limiter.consume(key)
    })
    reached &&= judged.reached
    figures.push(`${onCacheDown}: ${judged.figure}`)
  }
  return { reached, figure: figures.join('; ') }
}
