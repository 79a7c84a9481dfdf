import { setImmediate } from 'node:timers/promises'
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

/**
 * Waits until something holds. Nothing but the test's own timeout bounds it: a number of polls or milliseconds would
 * make a test fail on a busy machine.
 */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await setImmediate()
}
