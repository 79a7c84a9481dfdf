import { writeUint } from './uint64.ts'

/** Handles the frames of a `FrameReader`. */
export interface FrameHandler {
  /**
   * Handles a line without its `\n` or `\r\n`; `buffer` is valid only during the call. Returns the length of the data
   * block that follows, `NONE` (-1) without one, or `STOP`: read no further until `resume()`.
   */
  line(buffer: Buffer, start: number, end: number): number
  /** Handles a piece of the data block, in order, at `offset` of it; `buffer` is valid only during the call. */
  data(buffer: Buffer, start: number, end: number, offset: number): void
  /** Called at the end of the data block; `terminated` is whether `\r\n` followed it. Returns `NONE` or `STOP`. */
  dataEnd(terminated: boolean): number
  /** Called when a long line has not ended yet. Returns whether to go on waiting for its end. */
  longLine(buffer: Buffer, start: number, end: number): boolean
}

/** No data block follows the line. */
export const NONE = -1
/** Read no further until `resume()`. */
export const STOP = -2

const LF = 10
const CR = 13
const SPACE = 32
const MINUS = 45
const EMPTY = Buffer.alloc(0)

/**
 * Splits a stream of bytes into lines and data blocks, however the network has divided it; requests and responses have
 * the same frames (protocol.txt, "Protocol"). Bytes are parsed in place: only an unfinished line, or bytes after a
 * `STOP`, are copied. A data block has length + 2 bytes; as in memcached, the last two bytes may be any bytes.
 */
export class FrameReader {
  readonly #handler: FrameHandler
  readonly #longLineBytes: number
  /** An unfinished line, or bytes not yet parsed because of a `STOP`. */
  #held: Buffer = EMPTY
  #heldLength = 0
  /** The held bytes that are being parsed after a `STOP`; they belong to this reader. */
  #own: Buffer | undefined
  /** The remaining bytes of the data block, including its two of line end; 0 between frames. */
  #left = 0
  #length = 0
  #crSeen = false
  #stopped = false
  #ended = false

  constructor(handler: FrameHandler, longLineBytes: number) {
    this.#handler = handler
    this.#longLineBytes = longLineBytes
  }

  /** The number of bytes that were received but not handled yet. */
  get heldBytes(): number {
    return this.#heldLength
  }

  /** Whether reading is stopped. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** Whether the stream is between two frames, so that nothing is half read. */
  get atBoundary(): boolean {
    return this.#left === 0 && this.#heldLength === 0
  }

  /** Parses received bytes; `buffer` may be reused afterwards. */
  push(buffer: Buffer, start: number, end: number): void {
    if (this.#ended) return
    if (this.#stopped) {
      this.#hold(buffer, start, end)
    } else if (this.#heldLength > 0) {
      this.#finishHeldLine(buffer, start, end)
    } else {
      this.#run(buffer, start, end)
    }
  }

  /** Continues after a `STOP`, with the held bytes first. */
  resume(): void {
    if (!this.#stopped || this.#ended) return
    this.#stopped = false
    const held = this.#held
    const length = this.#heldLength
    this.#release()
    if (length === 0) return
    this.#own = held
    this.#run(held, 0, length)
    this.#own = undefined
  }

  /** Stops permanently, and returns the held bytes for another reader. */
  takeHeld(): Buffer {
    const held = this.#held.subarray(0, this.#heldLength)
    this.stop()
    return held
  }

  /** Stops permanently and drops the held bytes, since the connection is closed. */
  stop(): void {
    this.#ended = true
    this.#stopped = true
    this.#release()
  }

  /** Completes the held line with the bytes up to its end, handles it, and continues after it. */
  #finishHeldLine(buffer: Buffer, start: number, end: number): void {
    const newline = buffer.subarray(start, end).indexOf(LF)
    const lineEnd = newline === -1 ? end : start + newline + 1
    this.#hold(buffer, start, lineEnd)
    const held = this.#held
    const length = this.#heldLength
    if (newline === -1) {
      this.#checkLongLine(held, 0, length)
      return
    }
    this.#release()
    this.#run(held, 0, length)
    if (lineEnd < end) this.push(buffer, lineEnd, end)
  }

  #run(buffer: Buffer, start: number, end: number): void {
    let at = start
    while (at < end) {
      if (this.#left > 0) {
        at = this.#readData(buffer, at, end)
      } else {
        const lineStart = at
        while (at < end && buffer[at] !== LF) at++
        if (at === end) {
          this.#hold(buffer, lineStart, end)
          this.#checkLongLine(this.#held, 0, this.#heldLength)
          return
        }
        const lineEnd = at > lineStart && buffer[at - 1] === CR ? at - 1 : at
        at++
        const next = this.#handler.line(buffer, lineStart, lineEnd)
        if (next >= 0) {
          this.#length = next
          this.#left = next + 2
          this.#crSeen = false
        } else if (next === STOP) {
          this.#stopped = true
        }
      }
      if (this.#stopped) {
        if (!this.#ended) this.#keepRest(buffer, at, end)
        return
      }
    }
  }

  /** Handles the received part of the data block; returns the position after it. */
  #readData(buffer: Buffer, start: number, end: number): number {
    let at = start
    if (this.#left > 2) {
      const offset = this.#length + 2 - this.#left
      const take = Math.min(this.#left - 2, end - at)
      this.#left -= take
      at += take
      this.#handler.data(buffer, at - take, at, offset)
    }
    if (this.#left === 2 && at < end) {
      this.#crSeen = buffer[at++] === CR
      this.#left = 1
    }
    if (this.#left === 1 && at < end) {
      const terminated = buffer[at++] === LF && this.#crSeen
      this.#left = 0
      if (this.#handler.dataEnd(terminated) === STOP) this.#stopped = true
    }
    return at
  }

  #checkLongLine(buffer: Buffer, start: number, end: number): void {
    if (end - start > this.#longLineBytes && !this.#handler.longLine(buffer, start, end)) this.stop()
  }

  /** Keeps the bytes after a `STOP`; bytes that are held already are not copied again. */
  #keepRest(buffer: Buffer, start: number, end: number): void {
    if (buffer !== this.#own) {
      this.#hold(buffer, start, end)
      return
    }
    this.#held = buffer.subarray(start, end)
    this.#heldLength = end - start
  }

  #hold(buffer: Buffer, start: number, end: number): void {
    const length = end - start
    if (length === 0) return
    const needed = this.#heldLength + length
    if (needed > this.#held.length) {
      // Doubled, so that a line that arrives byte by byte is not copied for each byte.
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#held.length * 2))
      this.#held.copy(grown, 0, 0, this.#heldLength)
      this.#held = grown
    }
    buffer.copy(this.#held, this.#heldLength, start, end)
    this.#heldLength = needed
  }

  #release(): void {
    this.#held = EMPTY
    this.#heldLength = 0
  }
}

/** The maximum length of a request's line: its key, its flags and its end. */
export const MAX_REQUEST_LINE_BYTES = 1024

/** Writes a command's word; returns the position after it. */
export function writeWord(out: Uint8Array, at: number, word: string): number {
  for (let index = 0; index < word.length; index++) out[at + index] = word.charCodeAt(index)
  return at + word.length
}

/** Writes ` <integer>`, which may be negative; returns the position after it. */
export function writeNumber(out: Uint8Array, at: number, value: number): number {
  out[at] = SPACE
  if (value >= 0) return writeUint(out, at + 1, value)
  out[at + 1] = MINUS
  return writeUint(out, at + 2, -value)
}

/** Writes `<c1><c2> `, a meta command's word; returns the position after it. */
export function writeMetaCommand(out: Buffer, at: number, letter: number): number {
  out[at] = 109
  out[at + 1] = letter
  out[at + 2] = SPACE
  return at + 3
}

/** Writes a key that was checked; returns the position after it. */
export function writeRequestKey(out: Buffer, at: number, key: string): number {
  for (let index = 0; index < key.length; index++) {
    const code = key.charCodeAt(index)
    if (code > 126) return at + out.write(key, at, 'utf8')
    out[at + index] = code
  }
  return at + key.length
}

/** Writes `\r\n`; returns the position after it. */
export function writeLineEnd(out: Buffer, at: number): number {
  out[at] = CR
  out[at + 1] = LF
  return at + 2
}

/** Blocks up to this size are allocated at once. */
const FIRST_BYTES = 1024 * 1024

/**
 * Returns memory for a data block of an announced length: `block`, or, if that is too short, larger memory with its
 * content. Memory grows with the bytes received, so that an announced length alone costs nothing.
 *
 * @param neededBytes how many bytes it must hold now.
 * @param totalBytes how many bytes it will hold in the end; the memory has exactly that length once all bytes have
 *   arrived.
 */
export function blockMemory(block: Buffer | undefined, neededBytes: number, totalBytes: number): Buffer {
  if (block !== undefined && neededBytes <= block.length) return block
  const wanted = Math.max(FIRST_BYTES, neededBytes, (block?.length ?? 0) * 2)
  const memory = Buffer.allocUnsafeSlow(Math.min(totalBytes, wanted))
  block?.copy(memory)
  return memory
}
