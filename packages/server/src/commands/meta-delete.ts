import { CapitalFlag, Flag, MetaCode, Reply, Uint64, writeLineEnd, writeMetaCode } from 'memcache-ts-protocol'
import type { Request } from 'memcache-ts-protocol'
import { ItemFlag } from '../store/item-layout.ts'
import { OUT_OF_MEMORY, TOO_LARGE } from '../store/item-store.ts'
import { findItem } from './command-context.ts'
import type { CommandContext } from './command-context.ts'
import { writeEchoFlags } from './meta-get.ts'
import { logStored, markKeyEncoding } from './storage.ts'

const casUnique = new Uint64()

/** Runs `md`: deletes, marks stale (I) or empties (x) an item (protocol.txt, "Meta Delete"); q hides only HD. */
export function metaDelete(context: CommandContext, request: Request): void {
  const { counters, store, events } = context
  const item = findItem(context, request)
  if (item === 0) {
    counters.deleteMisses++
    reply(context, request, MetaCode.NF)
    return
  }
  if (request.hasCas && !store.readCas(item, casUnique).equals(request.cas)) {
    counters.deleteMisses++
    reply(context, request, MetaCode.EX)
    return
  }
  const removesValue = (request.flags & Flag.removeValue) !== 0
  const remaining = removesValue ? replaceByEmpty(context, request, item) : item
  if (remaining === 0) {
    context.replies.append(Reply.outOfMemory)
    return
  }
  if ((request.capitalFlags & CapitalFlag.invalidate) !== 0) {
    markStale(context, request, remaining)
  } else {
    counters.deleteHits[store.classOf(item)]!++
    if (events.streams !== 0) events.deleted(remaining, 'md')
    if (!removesValue) store.unlink(item)
  }
  reply(context, request, MetaCode.HD)
}

/** Marks an item stale: the next client that fetches it wins the right to recache; until then it keeps its value. */
function markStale({ store, clock }: CommandContext, request: Request, item: number): void {
  if ((request.capitalFlags & CapitalFlag.exptime) !== 0) {
    store.setExptime(item, clock.expiry(request.exptime, store.now))
  }
  store.setFlag(item, ItemFlag.stale)
  store.clearFlag(item, ItemFlag.tokenSent)
  const given = (request.capitalFlags & CapitalFlag.newCas) !== 0
  store.setCas(item, given ? request.newCas : store.nextCas(casUnique))
}

/** Replaces the item by one without value and client flags, with the same cas unique. Returns 0 if there is no memory. */
function replaceByEmpty(context: CommandContext, request: Request, item: number): number {
  const { store, clock, events } = context
  store.readCas(item, casUnique)
  store.pin(item)
  const { clientFlags } = request
  const exptime = clock.expiry(request.exptime, store.now)
  const empty = store.reserve({ ...store.keyOf(item), clientFlags }, exptime, 0)
  const made = empty !== TOO_LARGE && empty !== OUT_OF_MEMORY
  if (made) {
    markKeyEncoding(context, empty, request)
    store.link(empty, (request.capitalFlags & CapitalFlag.newCas) !== 0 ? request.newCas : casUnique, item)
    // memcached looks the item up again before it stores.
    if (events.streams !== 0) events.fetched(store.keyOf(item), item)
    if (context.events.streams !== 0) logStored(context, empty, { status: 'stored', command: 'set' })
  }
  store.unpin(item)
  return made ? empty : 0
}

function reply(context: CommandContext, request: Request, code: number): void {
  if (code === MetaCode.HD && (request.flags & Flag.quiet) !== 0) return
  const { replies } = context
  replies.room()
  const at = writeMetaCode(replies.buffer, replies.at, code)
  replies.at = writeLineEnd(replies.buffer, writeEchoFlags(context, request, at))
}
