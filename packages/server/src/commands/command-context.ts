import type { Request } from 'memcache-ts-protocol'
import type { ReplyWriter } from '../reply-writer.ts'
import type { ServerClock } from '../server-clock.ts'
import type { PrefixCounters } from '../stats/prefix-counters.ts'
import type { ServerCounters } from '../stats/server-counters.ts'
import type { ItemStore } from '../store/item-store.ts'
import type { EventLog } from '../watch/event-log.ts'

/** The bytes of unfinished lines that all connections together hold, beyond the bytes that each connection may hold. */
interface LongLineBudget {
  bytes: number
}

/** The parts of a server that commands use, shared by its connections. */
export interface CommandContext {
  readonly store: ItemStore
  readonly replies: ReplyWriter
  readonly counters: ServerCounters
  readonly prefixes: PrefixCounters
  readonly clock: ServerClock
  readonly events: EventLog
  readonly longLines: LongLineBudget
  /** Keys that one `get` may look up before its responses are sent; 0 if they may be sent in several turns. */
  readonly maxKeys: number
}

/** Returns the live item with the request's key; 0 for a miss. */
export function findItem(context: CommandContext, request: Request): number {
  const { store, events } = context
  const item = store.find(request)
  if (events.streams !== 0) events.fetched(request, item)
  return item
}

/** Counts a fetch; the item is 0 for a miss. */
export function countGet({ store, counters, prefixes }: CommandContext, request: Request, item: number): void {
  if (prefixes.enabled) prefixes.get(request, item === 0 ? 'miss' : 'hit')
  counters.cmdGet++
  if (item === 0) counters.getMisses++
  else store.statistics.hits[store.listOf(item)]!++
}

/** Counts a fetch that also sets the lifetime: as a touch and not as a get, as in memcached. */
export function countTouch({ store, counters, prefixes }: CommandContext, request: Request, item: number): void {
  if (prefixes.enabled) prefixes.get(request, item === 0 ? 'miss' : 'hit')
  counters.cmdTouch++
  if (item === 0) counters.touchMisses++
  else counters.touchHits[store.classOf(item)]!++
}
