import { systemClock } from 'memcache-ts-protocol'
import type { Clock } from 'memcache-ts-protocol'

/** The longest that a timer of Node can run: over it, it fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1
/** How soon a clock of a test is looked at again. */
const TEST_TICK_MS = 2

/**
 * Calls back once, when a clock says that it is time, however long that is.
 *
 * @returns a function that prevents it.
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
