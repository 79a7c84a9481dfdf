/** Turns values into bytes and back; the client flags say which kind they are. */
export interface ValueCodec {
  /** The bytes are the client's from then on: they must not change. */
  encode(value: unknown): { bytes: Buffer; clientFlags: number }
  /**
   * `bytes` are the codec's to keep.
   * @throws MemcacheDecodeError for what cannot be turned back.
   */
  decode(bytes: Buffer, clientFlags: number): unknown
}

/** Reads a value from where it was received; what it keeps, it copies. */
export interface ValueReader {
  read(buffer: Buffer, start: number, end: number, clientFlags: number): unknown
}

/** A codec of the user's as a reader. */
export function readerOf(codec: ValueCodec): ValueReader {
  return {
    read: (buffer, start, end, clientFlags) => codec.decode(Buffer.from(buffer.subarray(start, end)), clientFlags),
  }
}
