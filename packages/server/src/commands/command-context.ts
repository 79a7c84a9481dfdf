import type { Request } from 'memcache-ts-protocol'
import type { ReplyWriter } from '../reply-writer.ts'
import type { ServerClock } from '../server-clock.ts'
import type { PrefixCounters } from '../stats/prefix-counters.ts'
import type { ServerCounters } from '../stats/server-counters.ts'
import type { ItemStore } from '../store/item-store.ts'

/** What a command works with; one a server, shared by its connections. */
export interface CommandContext {
  readonly store: ItemStore
  readonly replies: ReplyWriter
  readonly counters: ServerCounters
  readonly prefixes: PrefixCounters
  readonly clock: ServerClock
}

/** The live item with the request's key, or 0. */
export function findItem(context: CommandContext, request: Request): number {
  return context.store.find(request.keyBuffer, request.keyStart, request.keyLength, request.keyHash)
}
