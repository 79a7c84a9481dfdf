import { MetaCode, Uint64, writeLineEnd, writeMetaCode } from 'memcache-ts-protocol'
import type { Request } from 'memcache-ts-protocol'
import { ItemFlag } from '../store/item-layout.ts'
import { findItem } from './command-context.ts'
import type { CommandContext } from './command-context.ts'

const casUnique = new Uint64()

/** me: what is known of an item, for people to read (protocol.txt, "Meta Debug"). */
export function metaDebug(context: CommandContext, request: Request): void {
  const { store, replies } = context
  const item = findItem(context, request)
  if (item === 0) {
    replies.room()
    replies.at = writeLineEnd(replies.buffer, writeMetaCode(replies.buffer, replies.at, MetaCode.EN))
    return
  }
  const exptime = store.exptime(item)
  const size = store.itemBytes(item)
  const encoding = store.hasFlag(item, ItemFlag.binaryKey) ? 'base64' : 'latin1'
  const start = store.keyStart(item)
  const key = store.bytes(item).toString(encoding, start, start + store.keyLength(item))
  replies.appendText(
    `ME ${key} exp=${exptime === 0 ? -1 : exptime - store.now} la=${store.now - store.lastAccess(item)}` +
      ` cas=${store.readCas(item, casUnique).toBigInt()} fetch=${store.hasFlag(item, ItemFlag.fetched) ? 'yes' : 'no'}` +
      ` cls=${store.classOf(item)} size=${size}\r\n`,
  )
}
