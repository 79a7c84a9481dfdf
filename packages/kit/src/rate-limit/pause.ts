import { systemClock } from 'memcache-ts-protocol'
import type { Clock } from 'memcache-ts-protocol'

/** The longest delay of a timer in Node; with a longer delay it fires immediately. */
const MAX_TIMER_MS = 2 ** 31 - 1
/** How often the clock of a test is read. */
const TEST_TICK_MS = 2

/**
 * Calls back once when the clock has reached a time, however far away it is.
 *
 * @returns a function that cancels the call.
 */
export function callAt(clock: Clock, atMs: number, callback: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const wait = (): void => {
    const leftMs = atMs - clock.nowMs()
    if (leftMs <= 0) {
      callback()
      return
    }
    const delayMs = clock === systemClock ? Math.min(Math.ceil(leftMs), MAX_TIMER_MS) : TEST_TICK_MS
    timer = setTimeout(wait, delayMs)
  }
  wait()
  return () => clearTimeout(timer)
}
