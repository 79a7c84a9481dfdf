import { Reply } from 'memcache-ts-protocol'
import type { Request } from 'memcache-ts-protocol'
import { findItem } from './command-context.ts'
import type { CommandContext } from './command-context.ts'

/** touch (protocol.txt, "Touch"). */
export function touchItem(context: CommandContext, request: Request): void {
  const { store, counters, replies, clock } = context
  const item = findItem(context, request)
  counters.cmdTouch++
  if (item === 0) {
    counters.touchMisses++
  } else {
    counters.touchHits[store.classOf(item)]!++
    store.setExptime(item, clock.expiry(request.exptime, store.now))
    store.fetched(item)
  }
  if (!request.noreply) replies.append(item === 0 ? Reply.notFound : Reply.touched)
}
