import type { Request } from 'memcache-ts-protocol'
import type { CommandContext } from './command-context.ts'

/** The live item with the request's key, or 0. */
export function findItem(context: CommandContext, request: Request): number {
  const { store, events } = context
  const item = store.find(request)
  if (events.streams !== 0) events.fetched(request, item)
  return item
}

/** Counts a fetch; the item is 0 for a miss. */
export function countGet({ store, counters, prefixes }: CommandContext, request: Request, item: number): void {
  if (prefixes.enabled) prefixes.get(request, item !== 0)
  counters.cmdGet++
  if (item === 0) counters.getMisses++
  else store.statistics.hits[store.listOf(item)]!++
}

/** Counts a fetch that also sets the lifetime: as a touch and not as a get, as in memcached. */
export function countTouch({ store, counters, prefixes }: CommandContext, request: Request, item: number): void {
  if (prefixes.enabled) prefixes.get(request, item !== 0)
  counters.cmdTouch++
  if (item === 0) counters.touchMisses++
  else counters.touchHits[store.classOf(item)]!++
}
