import { ClientFlags } from 'memcache-ts-protocol'
import type { CallDeadline } from '../call-deadline.ts'
import { decodeError } from '../errors.ts'
import { ChunkList } from './chunk-list.ts'
import { OWNED, readerOf } from './value-codec.ts'
import type { EncodedValue, ValueCodec, ValueReader } from './value-codec.ts'

/**
 * Fetches the bytes of a value in chunks; `undefined` if a chunk is missing. If an exptime is given, it is set for all
 * chunks.
 */
export type FetchChunks = (
  list: ChunkList,
  call: CallDeadline,
  touchExptime: number | undefined,
) => Promise<Buffer | undefined>

/** A value that was cut into chunks to be stored. */
export interface CutValue {
  readonly list: ChunkList
  readonly chunkAt: (index: number) => Buffer
}

/** A value that is stored in chunks: its list has been read, and its bytes are still to be fetched. */
export class ValueInChunks {
  readonly list: ChunkList
  readonly #values: ChunkedValues

  constructor(list: ChunkList, values: ChunkedValues) {
    this.list = list
    this.#values = values
  }

  /** Returns the value, by further steps of the call that read the list; `undefined` if a chunk is missing. */
  gather(call: CallDeadline, touchExptime?: number): Promise<unknown> {
    return this.#values.gather(this.list, call, touchExptime)
  }
}

/** Options of `ChunkedValues`. */
interface ChunkedValuesOptions {
  readonly codec: ValueCodec
  /** The size of chunks; with `Infinity`, chunks are read but never written. */
  readonly chunkBytes: number
  readonly unreadable: 'error' | 'miss'
}

/**
 * Reads and writes the client's values: values of up to `chunkBytes` as the codec encodes them, and larger values in
 * chunks under separate keys. Reading returns the value, or a `ValueInChunks`.
 */
export class ChunkedValues implements ValueReader {
  /** The result of reading a value that cannot be decoded, if the call does not say. */
  readonly unreadable: 'error' | 'miss'
  /** The codec's own method, without a call in between, since reading is the most frequent operation. */
  readonly read: ValueReader['read']
  readonly #codec: ValueCodec
  readonly #reader: ValueReader
  readonly #chunkBytes: number
  readonly #fetch: FetchChunks
  #bytesFlags: ReadonlySet<number> | undefined
  #takesEmptyForLease: boolean | undefined

  constructor({ codec, chunkBytes, unreadable }: ChunkedValuesOptions, fetch: FetchChunks) {
    this.#codec = codec
    this.#reader = readerOf(codec)
    this.read = this.#reader.read.bind(this.#reader)
    this.#chunkBytes = chunkBytes
    this.unreadable = unreadable
    this.#fetch = fetch
  }

  /** Whether values are stored in chunks, so that a deleted item may leave chunks behind. */
  get makesChunks(): boolean {
    return this.#chunkBytes < Infinity
  }

  get takesEmptyForLease(): boolean {
    const { readsLeases = false } = this.#codec
    this.#takesEmptyForLease ??= !readsLeases && ![Buffer.alloc(0), ''].some((empty) => this.#isStoredAsLease(empty))
    return this.#takesEmptyForLease
  }

  encode(value: unknown): EncodedValue {
    return this.#codec.encode(value)
  }

  copies(clientFlags: number): boolean {
    return this.#reader.copies?.(clientFlags) === true
  }

  readChunks(buffer: Buffer, start: number, end: number): ValueInChunks {
    return new ValueInChunks(ChunkList.read(buffer, start, end), this)
  }

  /** Returns the value that is stored in chunks; `undefined` if a chunk is missing. */
  async gather(list: ChunkList, call: CallDeadline, touchExptime: number | undefined): Promise<unknown> {
    const bytes = await this.#fetch(list, call, touchExptime)
    if (bytes === undefined) return undefined
    try {
      return this.#reader.read(bytes, 0, bytes.length, list.clientFlags, OWNED)
    } catch (error) {
      throw decodeError(error, undefined)
    }
  }

  isLarge(value: Buffer | string): boolean {
    const { length } = value
    if (length * 3 <= this.#chunkBytes) return false
    return (typeof value === 'string' ? Buffer.byteLength(value) : length) > this.#chunkBytes
  }

  /**
   * Cuts a value.
   *
   * @throws MemcacheTooLargeError if it would have more chunks than are read.
   */
  cut({ bytes, clientFlags }: EncodedValue): CutValue {
    const whole = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
    const size = this.#chunkBytes
    const list = ChunkList.create(whole.length, size, clientFlags)
    return { list, chunkAt: (index) => whole.subarray(index * size, (index + 1) * size) }
  }

  /**
   * Returns whether a stored value with these client flags is plain text or bytes, so that bytes may be joined to it:
   * those that the codec gives an empty text and no bytes, where it leaves them as they are, and 0, which is bytes for
   * every client.
   */
  isPlain(clientFlags: number): boolean {
    if (this.#codec.canJoin !== undefined) return this.#codec.canJoin(clientFlags)
    this.#bytesFlags ??= this.#findBytesFlags()
    return this.#bytesFlags.has(clientFlags)
  }

  /** Returns the client flags of text or bytes that are stored as they are. */
  plainFlags(value: Buffer | string): number {
    const like = typeof value === 'string' ? '' : Buffer.alloc(Math.min(1, value.length))
    const encoded = this.#tryEncode(like)
    return encoded?.bytes.length === like.length ? encoded.clientFlags : ClientFlags.bytes
  }

  #findBytesFlags(): ReadonlySet<number> {
    const found = new Set<number>([ClientFlags.bytes])
    for (const empty of [Buffer.alloc(0), '']) {
      const encoded = this.#tryEncode(empty)
      if (encoded === undefined) continue
      if (encoded.bytes.length === 0) found.add(encoded.clientFlags)
      else found.delete(encoded.clientFlags)
    }
    return found
  }

  /** Returns whether a value is stored as memcached stores a lease: empty, with client flags 0. */
  #isStoredAsLease(value: unknown): boolean {
    const encoded = this.#tryEncode(value)
    return encoded !== undefined && encoded.bytes.length === 0 && encoded.clientFlags === ClientFlags.bytes
  }

  #tryEncode(value: unknown): EncodedValue | undefined {
    try {
      return this.#codec.encode(value)
    } catch {
      return undefined
    }
  }
}
