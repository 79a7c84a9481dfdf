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
   * @throws MemcacheDecodeError for what cannot be turned back.
   */
  decode(bytes: Buffer, clientFlags: number): unknown
}

/** Reads a value from where it was received; what it keeps, it copies, unless the memory is `owned` by nobody else. */
export interface ValueReader {
  read(buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): unknown
}

/** A codec of the user's as a reader. */
export function readerOf(codec: ValueCodec): ValueReader {
  if ('read' in codec) return codec as ValueReader
  return {
    read: (buffer, start, end, clientFlags, owned) => {
      const bytes = buffer.subarray(start, end)
      return codec.decode(owned ? bytes : Buffer.from(bytes), clientFlags)
    },
  }
}
