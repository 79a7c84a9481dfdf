import { Reply } from 'memcache-ts-protocol'
import type { Request } from 'memcache-ts-protocol'
import { findItem } from './command-context.ts'
import type { CommandContext } from './command-context.ts'

/** Runs `touch` (protocol.txt, "Touch"). */
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

/** Runs `delete` (protocol.txt, "Deletion"). */
export function deleteItem(context: CommandContext, request: Request): void {
  const { store, counters, replies, prefixes, events } = context
  if (prefixes.enabled) prefixes.delete(request)
  const item = findItem(context, request)
  if (item === 0) {
    counters.deleteMisses++
  } else {
    counters.deleteHits[store.classOf(item)]!++
    if (events.streams !== 0) events.deleted(item, 'delete')
    store.unlink(item)
  }
  if (!request.noreply) replies.append(item === 0 ? Reply.notFound : Reply.deleted)
}
