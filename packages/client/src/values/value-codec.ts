/** A value as bytes, and which kind it is. */
export interface EncodedValue {
  /** Bytes, which are the client's from then on and must not change; or text, as UTF-8. */
  readonly bytes: Buffer | string
  readonly clientFlags: number
}

/** Turns values into bytes and back; the client flags say which kind they are. */
export interface ValueCodec {
  /** @throws MemcacheOptionError for what cannot be turned into bytes. */
  encode(value: unknown): EncodedValue
  /**
   * `bytes` are the codec's to keep.
   *
   * @throws MemcacheDecodeError for what cannot be turned back.
   */
  decode(bytes: Buffer, clientFlags: number): unknown
  /**
   * Returns whether bytes may be joined to a stored value with these client flags by `append` and `prepend`. Without
   * it: whether an empty text or no bytes are stored with them, as they are.
   */
  canJoin?(clientFlags: number): boolean
  /**
   * Whether the codec itself tells an empty value with client flags 0, which may be a lease that nobody has filled,
   * from a stored value. Without it, such a value is a miss where the protocol does not tell leases, unless the codec
   * stores an empty text or no bytes so.
   */
  readonly readsLeases?: boolean
}

/** Reads a value from where it was received; what it keeps, it copies, unless the memory is `owned` by nobody else. */
export interface ValueReader {
  /** What a value that it cannot decode is, where the call does not say. Default: an error. */
  readonly unreadable?: 'error' | 'miss'
  /** Whether an empty value with client flags 0 is a lease that nobody has filled, where the protocol does not tell. */
  readonly takesEmptyForLease?: boolean
  read(buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): unknown
  /**
   * Returns whether `read` keeps none of the bytes of a value with these client flags, although they are `owned`: the
   * value may then be put together in memory that is used again. Default: it may keep them.
   */
  copies?(clientFlags: number): boolean
  /**
   * Reads the list of the chunks that a value lies in, if it has the client flags of one. Without it, `read` is handed
   * such a list, too.
   */
  readChunks?(buffer: Buffer, start: number, end: number): unknown
}

/** Returns a codec of the user's as a reader. */
export function readerOf(codec: ValueCodec): ValueReader {
  if (isReader(codec)) return codec
  return {
    read: (buffer, start, end, clientFlags, owned) => {
      const bytes = buffer.subarray(start, end)
      return codec.decode(owned ? bytes : Buffer.from(bytes), clientFlags)
    },
  }
}

/** Returns whether a codec reads values from where they were received. */
export function isReader(codec: ValueCodec): codec is ValueCodec & ValueReader {
  return typeof (codec as Partial<ValueReader>).read === 'function'
}
