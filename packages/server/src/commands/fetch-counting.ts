import type { Request } from 'memcache-ts-protocol'
import type { CommandContext } from './command-context.ts'

/** A fetch that also sets the lifetime counts as a touch, not as a get, as in memcached. */
export function countFetch(
  { store, counters, prefixes }: CommandContext,
  request: Request,
  item: number,
  touches: boolean,
): void {
  if (prefixes.enabled) prefixes.get(request, item !== 0)
  if (touches) {
    counters.cmdTouch++
    if (item === 0) counters.touchMisses++
    else counters.touchHits[store.classOf(item)]!++
  } else {
    counters.cmdGet++
    if (item === 0) counters.getMisses++
    else store.statistics.hits[store.listOf(item)]!++
  }
}
