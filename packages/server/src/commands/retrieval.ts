import {
  Command,
  hasLongKeyLeft,
  hasKeyLeft,
  MAX_KEY_BYTES,
  nextKey,
  Reply,
  Uint64,
  writeValueLine,
} from 'memcache-ts-protocol'
import type { Request } from 'memcache-ts-protocol'
import { Progress } from '../long-reply.ts'
import type { LongReply } from '../long-reply.ts'
import { MAX_PENDING_REPLY_BYTES } from '../reply-writer.ts'
import type { ReplyMark } from '../reply-writer.ts'
import type { CommandContext } from './command-context.ts'
import { countGet, countTouch, findItem } from './command-context.ts'

/** Keys that are looked up in one turn. */
const MAX_KEYS_PER_TURN = 512

const OUT_OF_MEMORY_WRITING = Buffer.from('SERVER_ERROR out of memory writing get response\r\n')

const casUnique = new Uint64()

/**
 * Runs `get`, `gets`, `gat` and `gats`: writes a VALUE for each key that exists, then END (protocol.txt, "Retrieval
 * command"). Returns false if it has paused before the next key, since one line may request more than memory holds;
 * `PausedRetrieval` continues.
 */
export function retrieve(context: CommandContext, request: Request): boolean {
  // A key that is too long revokes the values before it. Only a long line can have one, so only then is the position
  // kept.
  const isLong = request.end - request.start > MAX_KEY_BYTES || context.maxKeys > 0
  return writeValues(context, request, isLong ? context.replies.mark() : undefined)
}

/** Writes the values of the remaining keys, until it pauses. */
function writeValues(context: CommandContext, request: Request, mark: ReplyMark | undefined): boolean {
  const { store, replies, clock } = context
  const { command } = request
  const withCas = command === Command.gets || command === Command.gats
  const touches = command === Command.gat || command === Command.gats
  const expiry = touches ? clock.expiry(request.exptime, store.now) : 0
  const isLimited = context.maxKeys > 0 && context.maxKeys < MAX_KEYS_PER_TURN
  let keysLeft = isLimited ? context.maxKeys : MAX_KEYS_PER_TURN
  while (nextKey(request)) {
    if (request.keyLength > MAX_KEY_BYTES) return refuseKey(context, mark)
    const item = findItem(context, request)
    if (touches) countTouch(context, request, item)
    else countGet(context, request, item)
    if (item !== 0) {
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
    if (--keysLeft > 0 && replies.pendingBytes <= MAX_PENDING_REPLY_BYTES) continue
    if (!hasKeyLeft(request)) break
    if (isLimited && keysLeft <= 0) return refuseForMemory(context, mark)
    // Values that are sent now cannot be revoked, so the other keys are checked first.
    if (mark !== undefined && hasLongKeyLeft(request)) return refuseKey(context, mark)
    return false
  }
  replies.append(Reply.end)
  return true
}

function refuseKey({ replies }: CommandContext, mark: ReplyMark | undefined): true {
  if (mark !== undefined) replies.rewind(mark)
  replies.append(Reply.badRetrievalKey)
  return true
}

/** Responds as memcached does if its response buffers are used up (`-o read_buf_mem_limit`). */
function refuseForMemory({ replies, counters }: CommandContext, mark: ReplyMark | undefined): true {
  if (mark !== undefined) replies.rewind(mark)
  counters.responseObjOom++
  replies.append(OUT_OF_MEMORY_WRITING)
  return true
}

/** A retrieval of more keys than are looked up in one turn; the request holds its own copy of the line. */
export class PausedRetrieval implements LongReply {
  readonly state = 'conn_mwrite'
  readonly #context: CommandContext
  readonly #request: Request

  constructor(context: CommandContext, request: Request) {
    this.#context = context
    this.#request = request
  }

  next(): Progress {
    return writeValues(this.#context, this.#request, undefined) ? Progress.done : Progress.more
  }

  end(): void {}
}
