import { Reply } from 'memcache-ts-protocol'
import type { Request } from 'memcache-ts-protocol'
import { findItem } from './command-context.ts'
import type { CommandContext } from './command-context.ts'

/** delete (protocol.txt, "Deletion"). */
export function deleteItem(context: CommandContext, request: Request): void {
  const { store, counters, replies, prefixes } = context
  if (prefixes.enabled) prefixes.delete(request)
  const item = findItem(context, request)
  if (item === 0) {
    counters.deleteMisses++
  } else {
    counters.deleteHits[store.classOf(item)]!++
    store.unlink(item)
  }
  if (!request.noreply) replies.append(item === 0 ? Reply.notFound : Reply.deleted)
}
