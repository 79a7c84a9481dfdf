import { setImmediate } from 'node:timers/promises'
import type { FakeClock } from 'memcache-ts-protocol'

/** What `passTime` needs to know of a cache. */
interface Loading {
  stats(): { readonly loading: number }
}

/**
 * Lets time go on by a fake clock, in seconds, once what is being loaded has been stored: a response is sent before that, and a
 * clock that goes on meanwhile would end the lease.
 */
export async function passTime(clock: FakeClock, cache: Loading, seconds: number): Promise<void> {
  while (cache.stats().loading > 0) await setImmediate()
  clock.advanceSeconds(seconds)
}
