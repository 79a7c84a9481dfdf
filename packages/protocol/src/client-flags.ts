/**
 * The client flags of stored values, for everything that the client and the kit store (docs/format.md). 1 and 2 are the
 * flags of the common `json_serializer` for pymemcache, so that other languages can read plain values; 0 is the value
 * that every client writes for bytes.
 */
export const ClientFlags = {
  /**
   * Unchanged bytes, as every client stores them. The kit stores nothing with these flags, and the client stores no
   * empty value with them, since an empty value is an unfilled lease.
   */
  bytes: 0,
  /** UTF-8 text. */
  string: 1,
  /** JSON. */
  json: 2,
  /** JSON with tags for values that JSON lacks: Date, Map, Set, bigint, undefined, typed arrays (tagged-json). */
  taggedJson: 3,
  /** Unchanged bytes, stored by the kit; the client uses them for an empty value. */
  kitBytes: 4,
  /** An entry of the kit: a line of JSON with the value's metadata, then the value (docs/format.md). */
  entry: 8,

  /** Added to one of the flags above: the bytes are compressed with gzip, brotli or zstd. */
  gzip: 0x10,
  brotli: 0x20,
  zstd: 0x30,
  /** The bits of the compression. */
  compression: 0x30,

  /** The list of the chunks of a value over the item limit. */
  chunks: 0x4d43_0005,
} as const
