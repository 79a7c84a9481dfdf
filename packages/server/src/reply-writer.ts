import type { Duplex } from 'node:stream'
import { MAX_REPLY_LINE_BYTES } from 'memcache-ts-protocol'
import { viewOf } from './store/copy-short.ts'
import type { ItemStore } from './store/item-store.ts'

const BUFFER_BYTES = 64 * 1024
/** Up to this many bytes, a loop is faster than a call into the engine. */
const COPY_LOOP_BYTES = 64
/** With more bytes than this, no more commands are run until the client has read them. */
export const MAX_PENDING_REPLY_BYTES = 512 * 1024
/** Values up to this size are copied into the responses; larger ones are sent from slab memory. */
const COPY_BYTES = 16 * 1024

/** The stream that responses are written to. */
export interface ReplyTarget {
  readonly stream: Duplex
  /**
   * Whether the kernel has copied a write that leaves `writableLength` at 0, so that its memory is free again. Only a
   * plain socket guarantees that.
   */
  readonly copiesOnWrite: boolean
  /**
   * Whether a value may be sent from where it is stored, because the stream does not use written memory after the
   * write's callback. A stream within this process passes the memory itself to its reader.
   */
  readonly consumesOnWrite: boolean
}

/**
 * Collects the responses to one read in one buffer and writes them at once. Each server has one writer, since the
 * responses to a read are complete before the next read. Its buffer is reused whenever the kernel has taken
 * everything.
 *
 * Large values are not copied: the item is pinned and the slab memory itself goes into the write.
 */
export class ReplyWriter {
  /** Responses are written here at `at`; `room` ensures that a line fits. */
  buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  /** The bytes of `buffer`. */
  view: DataView = viewOf(this.buffer)
  at = 0
  /** Bytes written to streams. */
  bytesWritten = 0
  readonly #store: ItemStore
  /** Finished parts before `buffer`, if one buffer was not large enough. */
  #parts: Buffer[] = []
  #partBytes = 0
  /** The start of the current part in `buffer`. */
  #from = 0
  #pinned: number[] = []
  #canPin = false
  /** The items whose replies are not yet flushed. */
  #sending = new Int32Array(1024)
  #sendingCount = 0

  constructor(store: ItemStore) {
    this.#store = store
  }

  /** Starts the replies to one read. */
  begin(target: Pick<ReplyTarget, 'consumesOnWrite'>): void {
    this.#canPin = target.consumesOnWrite
  }

  /** Bytes that are collected and not yet flushed. */
  get pendingBytes(): number {
    return this.#partBytes + this.at - this.#from
  }

  /** Ensures that a line of a response fits after `at`. */
  room(): void {
    if (this.buffer.length - this.at < MAX_REPLY_LINE_BYTES) this.#startBuffer()
  }

  /** Appends a fixed response. */
  append(reply: Buffer): void {
    if (this.buffer.length - this.at < reply.length) {
      if (reply.length > BUFFER_BYTES / 2) {
        this.#appendPart(reply)
        return
      }
      this.#startBuffer()
    }
    if (reply.length > COPY_LOOP_BYTES) {
      this.at += reply.copy(this.buffer, this.at)
      return
    }
    const { buffer } = this
    let { at } = this
    for (let index = 0; index < reply.length; index++) buffer[at++] = reply[index]!
    this.at = at
  }

  /** Appends a response of characters up to U+00FF. */
  appendText(text: string): void {
    if (text.length > this.buffer.length - this.at) this.append(Buffer.from(text, 'latin1'))
    else this.at += this.buffer.write(text, this.at, 'latin1')
  }

  /** Records that the responses refer to an item. */
  refer(item: number): void {
    if (this.#sendingCount === this.#sending.length) {
      const grown = new Int32Array(this.#sendingCount * 2)
      grown.set(this.#sending)
      this.#sending = grown
    }
    this.#sending[this.#sendingCount++] = item
  }

  /**
   * Returns whether a response that was not sent yet refers to the item. If so, the item must not be changed in place,
   * since a large value is sent from where it is stored. memcached treats all values like this, which its clients can
   * see.
   */
  isSending(item: number): boolean {
    return this.#store.isPinned(item) || this.#sending.subarray(0, this.#sendingCount).includes(item)
  }

  /** Counts the items of the responses so far as sent, except large values, which are sent from where they are stored. */
  forgetItems(): void {
    this.#sendingCount = 0
  }

  /** Appends an item's value and a line end. */
  appendValue(item: number): void {
    this.appendValueBytes(item)
    this.room()
    this.buffer[this.at] = 13
    this.buffer[this.at + 1] = 10
    this.at += 2
  }

  /** Appends an item's value. */
  appendValueBytes(item: number): void {
    this.refer(item)
    const length = this.#store.valueLength(item)
    if (length <= COPY_BYTES && !this.#store.isChained(item)) {
      if (this.buffer.length - this.at < length + 2) this.#startBuffer()
      this.#store.copyValue(item, this, this.at)
      this.at += length
    } else if (this.#canPin) {
      this.#store.pin(item)
      this.#pinned.push(item)
      for (const slice of this.#store.valueSlices(item)) this.#appendPart(slice)
    } else {
      for (const slice of this.#store.valueSlices(item)) this.#appendPart(Buffer.from(slice))
    }
  }

  /** Returns a position for `rewind`. */
  mark(): ReplyMark {
    return {
      at: this.at,
      from: this.#from,
      buffer: this.buffer,
      parts: this.#parts.length,
      partBytes: this.#partBytes,
      pinned: this.#pinned.length,
    }
  }

  /** Drops the responses since `mark`: an error replaces them. */
  rewind(mark: ReplyMark): void {
    for (const item of this.#pinned.splice(mark.pinned)) this.#store.unpin(item)
    this.#useBuffer(mark.buffer)
    this.at = mark.at
    this.#from = mark.from
    this.#parts.length = mark.parts
    this.#partBytes = mark.partBytes
  }

  /** Returns a copy of the collected bytes, for senders without a stream. */
  take(): Buffer {
    this.#finishPart()
    const taken = Buffer.concat(this.#parts, this.#partBytes)
    this.discard()
    return taken
  }

  /** Drops the collected bytes. */
  discard(): void {
    for (const item of this.#pinned) this.#store.unpin(item)
    this.#pinned = []
    this.#parts = []
    this.#partBytes = 0
    this.#sendingCount = 0
    this.at = 0
    this.#from = 0
  }

  /** Writes the collected bytes in one write. */
  flush(target: ReplyTarget): void {
    const { stream } = target
    this.#sendingCount = 0
    if (this.#parts.length === 0) {
      if (this.at === 0) return
      this.bytesWritten += this.at
      this.#flushBuffer(target)
      return
    }
    this.#finishPart()
    const parts = this.#parts
    const pinned = this.#pinned
    this.bytesWritten += this.#partBytes
    this.#parts = []
    this.#pinned = []
    this.#partBytes = 0
    this.at = 0
    this.#from = 0
    stream.cork()
    for (let index = 0; index < parts.length - 1; index++) stream.write(parts[index])
    stream.write(parts[parts.length - 1], () => {
      for (const item of pinned) this.#store.unpin(item)
    })
    stream.uncork()
    // Unless the kernel took it all, the buffer is part of a pending write.
    if (!target.copiesOnWrite || stream.writableLength > 0) this.#useBuffer(Buffer.allocUnsafeSlow(BUFFER_BYTES))
  }

  #flushBuffer({ stream, copiesOnWrite }: ReplyTarget): void {
    const { buffer, at } = this
    if (!copiesOnWrite || stream.writableLength > 0) {
      // A client that reads slowly gets a copy as long as its replies, and the buffer stays.
      this.at = 0
      stream.write(Buffer.from(buffer.subarray(0, at)))
      return
    }
    this.at = 0
    stream.write(buffer.subarray(0, at))
    if (stream.writableLength > 0) this.#useBuffer(Buffer.allocUnsafeSlow(BUFFER_BYTES))
  }

  #appendPart(part: Buffer): void {
    this.#finishPart()
    this.#parts.push(part)
    this.#partBytes += part.length
  }

  #finishPart(): void {
    if (this.at === this.#from) return
    this.#parts.push(this.buffer.subarray(this.#from, this.at))
    this.#partBytes += this.at - this.#from
    this.#from = this.at
  }

  #useBuffer(buffer: Buffer): void {
    this.buffer = buffer
    this.view = viewOf(buffer)
  }

  #startBuffer(): void {
    this.#finishPart()
    this.#useBuffer(Buffer.allocUnsafeSlow(BUFFER_BYTES))
    this.at = 0
    this.#from = 0
  }
}

/** See `ReplyWriter.mark`. */
export interface ReplyMark {
  readonly at: number
  readonly parts: number
  readonly partBytes: number
  readonly from: number
  readonly buffer: Buffer
  readonly pinned: number
}
