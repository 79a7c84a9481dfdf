import type { ReplyWriter } from '../reply-writer.ts'
import type { ServerClock } from '../server-clock.ts'
import type { PrefixCounters } from '../stats/prefix-counters.ts'
import type { ServerCounters } from '../stats/server-counters.ts'
import type { ItemStore } from '../store/item-store.ts'
import type { EventLog } from '../watch/event-log.ts'

/** Bytes of unfinished lines, beyond what every connection may have, that all connections together hold. */
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
