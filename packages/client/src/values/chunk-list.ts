import { randomBytes } from 'node:crypto'
import { ClientFlags, MAX_VALUE_BYTES, MemcacheDecodeError, MemcacheTooLargeError } from 'memcache-ts-protocol'
import { BYTES } from './value-codec.ts'
import type { ValueReader } from './value-codec.ts'

const ID_BYTES = 15
/** base64url of the id's bytes. */
const ID = /^[\w-]{20}$/
/** The maximum number of chunks of a value, so that a list from another program cannot cause unlimited work. */
const MAX_CHUNKS = 10_000
/** The maximum length of a list. */
const MAX_LIST_LENGTH = 100
const MAX_CLIENT_FLAGS = 2 ** 32 - 1

/** A list as it is stored. */
type StoredList = readonly [id: string, chunks: number, bytes: number, clientFlags: number]

/**
 * The chunks of a value that is larger than an item, as the list under its key names them: `[id, chunks, bytes, client
 * flags]` as JSON (docs/format.md). All chunks except the last have the same length. The id is random and new for each
 * write, so that the chunks of two writes never mix.
 */
export class ChunkList {
  readonly id: string
  readonly count: number
  /** The size of the whole value. */
  readonly bytes: number
  /** The client flags of the whole value, as the codec returned them. */
  readonly clientFlags: number

  private constructor([id, count, bytes, clientFlags]: StoredList) {
    this.id = id
    this.count = count
    this.bytes = bytes
    this.clientFlags = clientFlags
  }

  /** @throws MemcacheTooLargeError if the value would have too many chunks. */
  static create(bytes: number, chunkBytes: number, clientFlags: number): ChunkList {
    const count = Math.ceil(bytes / chunkBytes)
    if (count > MAX_CHUNKS || bytes > MAX_VALUE_BYTES) {
      throw new MemcacheTooLargeError(
        `a value of ${bytes} bytes would need ${count} chunks of ${chunkBytes} bytes, but at most ${MAX_CHUNKS} chunks and ${MAX_VALUE_BYTES} bytes can be read: raise chunkBytes`,
      )
    }
    return new ChunkList([randomBytes(ID_BYTES).toString('base64url'), count, bytes, clientFlags])
  }

  /**
   * Reads a stored list.
   *
   * @throws MemcacheDecodeError if the bytes are not a valid list.
   */
  static read(buffer: Buffer, start: number, end: number): ChunkList {
    const list = end - start > MAX_LIST_LENGTH ? undefined : parse(buffer.toString('latin1', start, end))
    if (!isList(list)) {
      throw new MemcacheDecodeError('a stored value is not a list of chunks, although its client flags say so')
    }
    return new ChunkList(list)
  }

  /** Returns the bytes that are stored under the value's key. */
  toBytes(): Buffer {
    const list: StoredList = [this.id, this.count, this.bytes, this.clientFlags]
    return Buffer.from(JSON.stringify(list))
  }

  /** Yields the keys of the chunks, in rounds of `size` keys. */
  *rounds(size: number): Iterable<string[]> {
    for (let from = 0; from < this.count; from += size) {
      const length = Math.min(size, this.count - from)
      yield Array.from({ length }, (_, index) => `chunk:${this.id}:${from + index}`)
    }
  }

  /** Returns whether a chunk may have this length, given the first one's. */
  isLength(index: number, length: number, firstLength: number): boolean {
    if (firstLength * (this.count - 1) >= this.bytes || firstLength * this.count < this.bytes) return false
    return length === (index === this.count - 1 ? this.bytes - firstLength * index : firstLength)
  }
}

/** Reads a list of chunks; any other value counts as none. */
export const LIST: ValueReader = {
  unreadable: 'miss',
  read: (buffer, start, end, clientFlags) =>
    clientFlags === ClientFlags.chunks ? ChunkList.read(buffer, start, end) : undefined,
}

/** Reads the bytes of a chunk. Any other value under its key is not a chunk. */
export const CHUNK: ValueReader = {
  read: (buffer, start, end, clientFlags, owned) =>
    clientFlags === ClientFlags.bytes ? BYTES.read(buffer, start, end, clientFlags, owned) : undefined,
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isList(list: unknown): list is StoredList {
  if (!Array.isArray(list) || list.length !== 4) return false
  const [id, count, bytes, clientFlags] = list as unknown[]
  return (
    typeof id === 'string' &&
    ID.test(id) &&
    isWhole(count, 1, MAX_CHUNKS) &&
    isWhole(bytes, count, MAX_VALUE_BYTES) &&
    isWhole(clientFlags, 0, MAX_CLIENT_FLAGS) &&
    // A list never contains lists.
    clientFlags !== ClientFlags.chunks
  )
}

function isWhole(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max
}
