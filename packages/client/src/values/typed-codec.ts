import { isAscii } from 'node:buffer'
import { ClientFlags, MemcacheDecodeError, MemcacheOptionError } from 'memcache-ts-protocol'
import { createCompression, decompress, DEFAULT_MAX_DECOMPRESSED_BYTES } from './compression.ts'
import type { CompressionOptions } from './compression.ts'
import { messageOf } from '../errors.ts'
import { isPlainJson } from './json-kinds.ts'
import { decodeJson, decodeTaggedJson } from './tagged-json-decoder.ts'
import { encodeTaggedJson, isDetached } from './tagged-json-encoder.ts'
import { OWNED } from './value-codec.ts'
import type { EncodedValue, ValueCodec, ValueReader } from './value-codec.ts'

/** Options of `typedCodec`. */
export interface TypedCodecOptions {
  /** The client flags of plain bytes. Default 0, like every client. */
  bytesFlags?: number | undefined
  /** Whether and how values are compressed when they are written; compressed values are always read. */
  compression?: CompressionOptions | undefined
  /** The maximum size of a decompressed value, in bytes; larger values are not compressed. Default 8 MiB. */
  maxDecompressedBytes?: number | undefined
}

/**
 * Returns the codec of `values: 'typed'`: a value that is read has the same type as the value that was stored. Strings
 * and plain JSON are readable by other languages (flags 1 and 2, like the common `json_serializer` for pymemcache),
 * bytes are stored as they are, and values that JSON cannot express (Date, Map, Set, bigint, undefined, typed arrays)
 * are tagged.
 *
 * @example
 *   const client = new MemcachedClient({ values: typedCodec({ compression: { algorithm: 'zstd' } }) })
 */
export function typedCodec(options: TypedCodecOptions = {}): ValueCodec & ValueReader {
  const { bytesFlags = ClientFlags.bytes, maxDecompressedBytes = DEFAULT_MAX_DECOMPRESSED_BYTES } = options
  const compression =
    options.compression === undefined ? undefined : createCompression(options.compression, maxDecompressedBytes)

  const encodePlain = (value: unknown): EncodedValue => {
    // Text that UTF-8 cannot express is stored as JSON, which escapes it.
    if (typeof value === 'string' && value.isWellFormed()) return { bytes: value, clientFlags: ClientFlags.string }
    if (Buffer.isBuffer(value))
      return { bytes: copyOf(value), clientFlags: value.length === 0 ? ClientFlags.kitBytes : bytesFlags }
    if (isPlainJson(value)) return { bytes: JSON.stringify(value), clientFlags: ClientFlags.json }
    const { text, isTagged } = encodeTaggedJson(value)
    return { bytes: text, clientFlags: isTagged ? ClientFlags.taggedJson : ClientFlags.json }
  }

  return {
    encode(value) {
      const plain = encodeOrExplain(encodePlain, value)
      const bytes = compression?.compress(plain.bytes)
      return bytes === undefined ? plain : { bytes, clientFlags: plain.clientFlags | compression!.flag }
    },
    decode(bytes, clientFlags) {
      return this.read(bytes, 0, bytes.length, clientFlags, OWNED)
    },
    copies: (clientFlags) => clientFlags !== ClientFlags.bytes && clientFlags !== ClientFlags.kitBytes,
    read(buffer, start, end, clientFlags, owned) {
      switch (clientFlags) {
        case ClientFlags.string:
          return textOf(buffer, start, end)
        case ClientFlags.json:
          return parse(decodeJson, buffer, start, end)
        case ClientFlags.bytes:
        case ClientFlags.kitBytes: {
          const bytes = buffer.subarray(start, end)
          return owned ? bytes : Buffer.from(bytes)
        }
        case ClientFlags.taggedJson:
          return parse(decodeTaggedJson, buffer, start, end)
        default: {
          const plainFlags = clientFlags & ~ClientFlags.compression
          if (plainFlags === clientFlags || plainFlags > ClientFlags.kitBytes) throw unknownFlags(clientFlags)
          const bytes = decompress(buffer.subarray(start, end), clientFlags, maxDecompressedBytes)
          return this.read(bytes, 0, bytes.length, plainFlags, OWNED)
        }
      }
    },
  }
}

/** The size from which checking for ASCII first costs less than decoding UTF-8. */
const ASCII_CHECK_BYTES = 4096

/**
 * Decodes UTF-8. Large values are mostly ASCII, whose bytes become a string by a copy: a third of the time of decoding
 * 100 kB.
 */
function textOf(buffer: Buffer, start: number, end: number): string {
  const isCopied = end - start >= ASCII_CHECK_BYTES && isAscii(buffer.subarray(start, end))
  return buffer.toString(isCopied ? 'latin1' : 'utf8', start, end)
}

function unknownFlags(clientFlags: number): MemcacheDecodeError {
  return new MemcacheDecodeError(
    `a value has client flags ${clientFlags}, which this client did not write: read it with the codec that wrote it`,
  )
}

/** Returns a copy, since the caller may continue to write to its buffer. */
function copyOf(value: Buffer): Buffer {
  if (value.length === 0 && isDetached(value.buffer)) {
    throw new MemcacheOptionError('the value cannot be stored: it is a Buffer that was transferred')
  }
  return Buffer.from(value)
}

function encodeOrExplain(encode: (value: unknown) => EncodedValue, value: unknown): EncodedValue {
  try {
    return encode(value)
  } catch (cause) {
    if (cause instanceof MemcacheOptionError) throw cause
    // A getter, `toJSON` or a proxy has thrown, or the text would be too long for a string.
    throw new MemcacheOptionError(`the value cannot be stored: ${messageOf(cause)}`, { cause })
  }
}

function parse(read: (text: string) => unknown, buffer: Buffer, start: number, end: number): unknown {
  try {
    return read(textOf(buffer, start, end))
  } catch (cause) {
    throw new MemcacheDecodeError(`a stored value is not JSON, although its client flags say so: ${messageOf(cause)}`, {
      cause,
    })
  }
}
