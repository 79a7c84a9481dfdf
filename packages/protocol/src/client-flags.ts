/**
 * What the client flags of a stored value say, for all that the kit stores (docs/format.md). 1 and 2 are those of the
 * guide's Python program, so that other languages read plain values; 0 is what every client writes for bytes.
 */
export const ClientFlags = {
  /** Bytes as they are. No bytes at all are never stored so, nor is anything by the kit: a lease's stub has 0. */
  bytes: 0,
  /** UTF-8 text. */
  string: 1,
  /** JSON. */
  json: 2,
  /** JSON with tags for what JSON has no word for: Date, Map, Set, bigint, undefined, typed arrays (tagged-json). */
  taggedJson: 3,
  /** Bytes as they are, stored by the kit; by the client, no bytes at all. */
  kitBytes: 4,
  /** An entry of the kit: a line of JSON that says what is known of the value, then the value (docs/format.md). */
  entry: 8,

  /** Added to one of those above: the bytes are compressed by gzip, brotli or zstd. */
  gzip: 0x10,
  brotli: 0x20,
  zstd: 0x30,
  /** The bits of the compression. */
  compression: 0x30,

  /** A list of the chunks that a value over the item limit lies in. */
  chunks: 0x4d43_0005,
} as const
