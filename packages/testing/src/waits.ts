import { setImmediate, setTimeout } from 'node:timers/promises'
import type { FakeClock } from 'memcache-ts-protocol'

/** The part of a cache that `passTime` uses. */
interface Loading {
  stats(): { readonly loading: number }
}

/**
 * Advances a fake clock by seconds once all running loads have stored their values: a response is sent before that, and
 * advancing the clock would end the lease.
 */
export async function passTime(clock: FakeClock, cache: Loading, seconds: number): Promise<void> {
  while (cache.stats().loading > 0) await setImmediate()
  clock.advanceSeconds(seconds)
}

/** Turns of the loop before `until` sleeps between its checks. */
const EAGER_CHECKS = 50

/**
 * Waits until a condition holds. Only the timeout of the test limits the wait: a number of polls or milliseconds would
 * make a test fail on a busy machine. After some turns of the loop it sleeps a millisecond between checks, so that it
 * leaves the processor to the process that it waits for.
 */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let check = 0; !(await holds()); check++) await (check < EAGER_CHECKS ? setImmediate() : setTimeout(1))
}
