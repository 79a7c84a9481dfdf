import { Status, writeBinaryResponseHeader } from 'memcache-ts-protocol'
import type { BinaryRequest, Uint64 } from 'memcache-ts-protocol'
import type { AdminActions } from '../commands/admin/admin-actions.ts'
import { LineReply } from '../long-reply.ts'
import type { LongReply } from '../long-reply.ts'
import type { ReplyWriter } from '../reply-writer.ts'

/** memcached's text for each status. */
const TEXTS: Readonly<Record<number, Buffer>> = {
  [Status.notFound]: Buffer.from('Not found'),
  [Status.exists]: Buffer.from('Data exists for key.'),
  [Status.tooLarge]: Buffer.from('Too large.'),
  [Status.invalid]: Buffer.from('Invalid arguments'),
  [Status.notStored]: Buffer.from('Not stored.'),
  [Status.nonNumeric]: Buffer.from('Non-numeric server-side value for incr or decr'),
  [Status.authError]: Buffer.from('Auth failure.'),
  [Status.unknownCommand]: Buffer.from('Unknown command'),
  [Status.outOfMemory]: Buffer.from('Out of memory'),
}

const NOTHING = Buffer.alloc(0)

/** The bytes of each part after a header. */
interface BodyLengths {
  readonly extras: number
  readonly key: number
  readonly value: number
}

const NO_BODY: BodyLengths = { extras: 0, key: 0, value: 0 }

/** The fields of the current request that every response repeats. */
export class BinaryReplies {
  opcode = 0
  opaque = 0
  readonly #replies: ReplyWriter

  constructor(replies: ReplyWriter) {
    this.#replies = replies
  }

  /** Begins the responses to a request. */
  begin({ opcode, opaque }: BinaryRequest): void {
    this.opcode = opcode
    this.opaque = opaque
  }

  /**
   * Writes an error. memcached sends it immediately, with all responses before it, after which their items may change
   * in place.
   */
  error(status: number, text = TEXTS[status] ?? NOTHING): void {
    this.header(status, undefined, { extras: 0, key: 0, value: text.length })
    this.#replies.append(text)
    this.#replies.forgetItems()
  }

  success(cas?: Uint64): void {
    this.header(Status.ok, cas, NO_BODY)
  }

  /** Writes a success with a value of bytes. */
  value(bytes: Buffer, cas?: Uint64): void {
    this.header(Status.ok, cas, { extras: 0, key: 0, value: bytes.length })
    this.#replies.append(bytes)
  }

  header(status: number, cas: Uint64 | undefined, lengths: BodyLengths): void {
    const replies = this.#replies
    replies.room()
    const { opcode, opaque } = this
    replies.at = writeBinaryResponseHeader(replies.buffer, replies.at, { opcode, status, opaque, cas }, lengths)
  }

  /** Writes a miss that repeats the key, for the commands that return the key. */
  missWithKey(buffer: Buffer, start: number, length: number): void {
    this.header(Status.notFound, undefined, { extras: 0, key: length, value: 0 })
    const replies = this.#replies
    replies.at += buffer.copy(replies.buffer, replies.at, start, start + length)
  }

  /** Returns a packet of `stat`; the last packet has neither name nor value. */
  statistic(name: string, value: string): string {
    const response = { opcode: this.opcode, status: Status.ok, opaque: this.opaque, cas: undefined }
    const packet = Buffer.alloc(24 + name.length + value.length)
    const at = writeBinaryResponseHeader(packet, 0, response, { extras: 0, key: name.length, value: value.length })
    packet.write(name + value, at, 'latin1')
    return packet.toString('latin1')
  }
}

/**
 * Returns the response to `stat`: a packet for each statistic, and an empty packet at the end; `undefined` if the form
 * is unknown. As in memcached, the response to `reset` and `detail on|off` is the empty packet alone, and the response
 * to `detail dump` is one packet.
 */
export function binaryStatistics(actions: AdminActions, replies: BinaryReplies, form: string): LongReply | undefined {
  const packets = packetsOf(actions, replies, form)
  return packets === undefined ? undefined : new LineReply(actions.context.replies, packets, replies.statistic('', ''))
}

function packetsOf(actions: AdminActions, replies: BinaryReplies, form: string): Iterable<string> | undefined {
  const { prefixes } = actions.context
  if (form === 'reset') {
    actions.resetStatistics()
    return []
  }
  if (form.startsWith('detail')) {
    if (actions.options.disableDumping) return undefined
    if (form === 'detail dump') return [replies.statistic('detailed', `${[...prefixes.lines()].join('')}END\r\n`)]
    if (form !== 'detail on' && form !== 'detail off') return undefined
    prefixes.enabled = form === 'detail on'
    return []
  }
  const statistics = actions.statistics(form)
  return statistics?.map(([name, value]) => replies.statistic(name, String(value)))
}
