import { Command, MAX_KEY_BYTES, nextKey, Reply, Uint64, writeValueLine } from 'memcache-ts-protocol'
import type { Request } from 'memcache-ts-protocol'
import { findItem } from './command-context.ts'
import type { CommandContext } from './command-context.ts'
import { countFetch } from './fetch-counting.ts'

const casUnique = new Uint64()

/** get, gets, gat, gats: one VALUE a key that is there, then END (protocol.txt, "Retrieval command"). */
export function retrieve(context: CommandContext, request: Request): void {
  const { store, replies, clock } = context
  const { command } = request
  const withCas = command === Command.gets || command === Command.gats
  const touches = command === Command.gat || command === Command.gats
  const expiry = touches ? clock.expiry(request.exptime, store.now) : 0
  // A key that is too long takes back the values before it, so only a long line has to remember where it began.
  const mark = request.end - request.start > MAX_KEY_BYTES ? replies.mark() : undefined
  while (nextKey(request)) {
    if (request.keyLength > MAX_KEY_BYTES) {
      if (mark !== undefined) replies.rewind(mark)
      replies.append(Reply.badRetrievalKey)
      return
    }
    const item = findItem(context, request)
    countFetch(context, request, item, touches)
    if (item === 0) continue
    if (touches) store.setExptime(item, expiry)
    replies.room()
    replies.at = writeValueLine(
      replies.buffer,
      replies.at,
      request.keyBuffer,
      request.keyStart,
      request.keyLength,
      store.clientFlags(item),
      store.valueLength(item),
      withCas ? store.readCas(item, casUnique) : undefined,
    )
    replies.appendValue(item)
    store.fetched(item)
  }
  replies.append(Reply.end)
}
