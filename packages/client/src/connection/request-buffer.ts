import type { Duplex } from 'node:stream'
import { MAX_REQUEST_LINE_BYTES } from 'memcache-ts-protocol'

let isReacting = false
const resolved = Promise.resolve()

/**
 * Notes that a response has come, whose callers go on now. What they ask next is flushed as soon as they have all asked, since they are
 * what keeps the server busy. Requests of others, each made in a tick of its own as an HTTP server's many sockets do, are flushed
 * together at the end of the loop's turn. One flag for the process: a caller that is answered by one connection may ask another one.
 */
export function responseComes(): void {
  if (isReacting) return
  isReacting = true
  // Behind all the microtasks, which the callers that go on are. Cheaper than `queueMicrotask`, which makes an async resource.
  void resolved.then(afterMicrotasks)
}

function afterMicrotasks(): void {
  process.nextTick(reactionEnds)
}

function reactionEnds(): void {
  isReacting = false
}

/** Whether what runs now was set going by a response. */
export function isReactionToResponse(): boolean {
  return isReacting
}

const BUFFER_BYTES = 64 * 1024
/** Values up to this size are copied in; larger ones become a part of the write by themselves. */
const COPY_BYTES = 16 * 1024
const CR = 13
const LF = 10

/** Gathers the requests of one turn of the loop, so that they leave in one write. */
export class RequestBuffer {
  /** Requests are written here, from `at` on. */
  buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  at = 0
  #parts: Buffer[] = []
  #from = 0
  #begunParts = 0
  #begunBuffer = this.buffer
  #begunAt = 0
  #begunFrom = 0

  get isEmpty(): boolean {
    return this.at === this.#from && this.#parts.length === 0
  }

  /** Makes sure that a request's line fits behind `at`. */
  room(): void {
    this.reserve(MAX_REQUEST_LINE_BYTES)
  }

  /** Makes sure that so many bytes, at most 64 kB, fit behind `at`. */
  reserve(bytes: number): void {
    if (this.buffer.length - this.at >= bytes) return
    this.#finishPart()
    this.buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
    this.at = 0
    this.#from = 0
  }

  append(text: string): void {
    const length = Buffer.byteLength(text)
    if (length > BUFFER_BYTES) {
      this.#appendPart(Buffer.from(text))
      return
    }
    this.reserve(length)
    this.at += this.buffer.write(text, this.at)
  }

  /** Whether a text, however it is encoded, fits behind a request's line without another buffer. */
  mayHold(text: string): boolean {
    return this.buffer.length - this.at >= MAX_REQUEST_LINE_BYTES + text.length * 3 + 2
  }

  /** A data block and its line end, if the text is ASCII; else nothing. Returns whether it was. `mayHold` was asked. */
  appendAscii(text: string): boolean {
    const { buffer } = this
    const end = this.at + buffer.write(text, this.at, 'utf8')
    if (end - this.at !== text.length) return false
    buffer[end] = CR
    buffer[end + 1] = LF
    this.at = end + 2
    return true
  }

  /** A data block of so many bytes, and its line end. */
  appendValue(value: Buffer | string, length: number): void {
    this.appendBytes(value, length)
    this.reserve(2)
    this.buffer[this.at] = CR
    this.buffer[this.at + 1] = LF
    this.at += 2
  }

  appendBytes(value: Buffer | string, length: number): void {
    if (length > COPY_BYTES) {
      this.#appendPart(typeof value === 'string' ? Buffer.from(value) : value)
      return
    }
    this.reserve(length + 2)
    // As many bytes as characters: every one is ASCII, and needs no encoding.
    if (typeof value !== 'string') value.copy(this.buffer, this.at)
    else this.buffer.write(value, this.at, length === value.length ? 'latin1' : 'utf8')
    this.at += length
  }

  /** A request begins here, for `rewind`. */
  begin(): void {
    this.#begunParts = this.#parts.length
    this.#begunBuffer = this.buffer
    this.#begunAt = this.at
    this.#begunFrom = this.#from
  }

  /** Forgets the request that was begun last: it could not be finished. */
  rewind(): void {
    this.#parts.length = this.#begunParts
    this.buffer = this.#begunBuffer
    this.at = this.#begunAt
    this.#from = this.#begunFrom
  }

  /** Forgets what was gathered: the connection is gone. */
  clear(): void {
    this.at = 0
    this.#from = 0
    this.#parts = []
  }

  /**
   * Writes what was gathered.
   * @param copiesOnWrite whether a write that leaves nothing queued in the stream has been copied by the kernel.
   */
  flush(stream: Duplex, copiesOnWrite: boolean): void {
    const { buffer } = this
    const last = buffer.subarray(this.#from, this.at)
    const parts = this.#parts
    this.clear()
    // Behind a write that is still to come, a copy just as long as the requests goes, and the buffer stays.
    const direct = copiesOnWrite && stream.writableLength === 0
    if (parts.length === 0) {
      stream.write(direct ? last : Buffer.from(last))
    } else {
      stream.cork()
      for (const part of parts) stream.write(part)
      if (last.length > 0) stream.write(last)
      stream.uncork()
    }
    const free = direct ? stream.writableLength === 0 : parts.length === 0
    if (!free) this.buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  }

  #appendPart(part: Buffer): void {
    this.#finishPart()
    this.#parts.push(part)
  }

  #finishPart(): void {
    if (this.at > this.#from) this.#parts.push(this.buffer.subarray(this.#from, this.at))
    this.#from = this.at
  }
}
