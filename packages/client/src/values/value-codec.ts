/** An encoded value: its bytes, and its client flags. */
export interface EncodedValue {
  /** Bytes, which belong to the client from then on and must not change, or text, which is stored as UTF-8. */
  readonly bytes: Buffer | string
  readonly clientFlags: number
}

/** Converts values to bytes and back; the client flags identify the kind. */
export interface ValueCodec {
  /** @throws MemcacheOptionError if the value cannot be encoded. */
  encode(value: unknown): EncodedValue
  /**
   * Decodes a value. The codec may keep `bytes`.
   *
   * @throws MemcacheDecodeError if the bytes cannot be decoded.
   */
  decode(bytes: Buffer, clientFlags: number): unknown
  /**
   * Returns whether bytes may be joined to a stored value with these client flags by `append` and `prepend`. Without
   * it: whether an empty text or no bytes are stored with them, as they are.
   */
  canJoin?(clientFlags: number): boolean
  /**
   * Whether the codec itself distinguishes an empty value with client flags 0, which may be an unfilled lease, from a
   * stored value. Without it, such a value is a miss if the protocol does not report leases, unless the codec stores an
   * empty text or empty bytes that way.
   */
  readonly readsLeases?: boolean
}

/** For `ValueReader.read`: the reader may keep the bytes. */
export const OWNED = true
/** For `ValueReader.read`: the bytes are valid only during the call. */
export const LENT = false

/** Reads a value from the received memory. If `owned` is false, the reader must copy the bytes that it keeps. */
export interface ValueReader {
  /** Whether a value that cannot be decoded is an error or a miss, if the call does not decide it. Default: an error. */
  readonly unreadable?: 'error' | 'miss'
  /** Whether an empty value with client flags 0 counts as an unfilled lease if the protocol does not report leases. */
  readonly takesEmptyForLease?: boolean
  read(buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): unknown
  /**
   * Returns whether `read` keeps none of the bytes of a value with these client flags, although they are `owned`: the
   * value may then be put together in memory that is used again. Default: it may keep them.
   */
  copies?(clientFlags: number): boolean
  /** Reads a list of chunks, which has its own client flags. Without it, `read` receives such a list, too. */
  readChunks?(buffer: Buffer, start: number, end: number): unknown
}

/** Reads the stored bytes of any value. */
export const BYTES: ValueReader = {
  read: (buffer, start, end, _, owned) => {
    const bytes = buffer.subarray(start, end)
    return owned ? bytes : Buffer.from(bytes)
  },
}

/** Returns a reader that uses a custom codec. */
export function readerOf(codec: ValueCodec): ValueReader {
  if (isReader(codec)) return codec
  return {
    read: (buffer, start, end, clientFlags, owned) => {
      const bytes = buffer.subarray(start, end)
      return codec.decode(owned ? bytes : Buffer.from(bytes), clientFlags)
    },
  }
}

/** Returns whether a codec can read values from the received memory. */
export function isReader(codec: ValueCodec): codec is ValueCodec & ValueReader {
  return typeof (codec as Partial<ValueReader>).read === 'function'
}
