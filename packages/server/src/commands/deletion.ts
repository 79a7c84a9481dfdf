import { Reply } from 'memcache-ts-protocol'
import type { Request } from 'memcache-ts-protocol'
import { findItem } from './command-context.ts'
import type { CommandContext } from './command-context.ts'

/** delete (protocol.txt, "Deletion"). */
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
