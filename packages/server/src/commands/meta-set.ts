import { Flag, MetaCode, writeLineEnd, writeMetaCode, writeUintFlag, writeUint64Flag } from 'memcache-ts-protocol'
import type { Request } from 'memcache-ts-protocol'
import type { CommandContext } from './command-context.ts'
import { writeEcho } from './meta-get.ts'
import { StoreOutcome } from './storage.ts'
import type { StoreOrder } from './storage.ts'

const LETTER = { b: 98, c: 99, k: 107, s: 115, O: 79 }

const CODES: Readonly<Record<number, number>> = {
  [StoreOutcome.stored]: MetaCode.HD,
  [StoreOutcome.notStored]: MetaCode.NS,
  [StoreOutcome.exists]: MetaCode.EX,
  [StoreOutcome.notFound]: MetaCode.NF,
}

/** Responds to an `ms`, whether its item was stored or not (protocol.txt, "Meta Set"); q hides only HD. */
export function replyToMetaSet(context: CommandContext, request: Request, order: StoreOrder): void {
  const { outcome } = order
  if (outcome === StoreOutcome.stored && (request.flags & Flag.quiet) !== 0) return
  const { replies } = context
  replies.room()
  const out = replies.buffer
  let at = writeMetaCode(out, replies.at, CODES[outcome]!)
  for (let index = 0; index < request.flagCount; index++) {
    switch (request.buffer[request.flagStart[index]!]) {
      case LETTER.O:
      case LETTER.k:
        at = writeEcho(out, at, request, index)
        break
      case LETTER.c:
        at = writeUint64Flag(out, at, LETTER.c, order.storedCas)
        break
      case LETTER.s:
        at = writeUintFlag(out, at, LETTER.s, order.storedLength)
        break
    }
  }
  replies.at = writeLineEnd(out, at)
}
