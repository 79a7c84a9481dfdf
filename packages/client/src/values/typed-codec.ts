import { ClientFlags, MemcacheDecodeError, MemcacheOptionError } from 'memcache-ts-protocol'
import { createCompression, decompress } from './compression.ts'
import type { CompressionOptions } from './compression.ts'
import { decodeTaggedJson, encodeTaggedJson, isPlainJson } from './tagged-json.ts'
import type { EncodedValue, ValueCodec, ValueReader } from './value-codec.ts'

/** Options of `typedCodec`. */
export interface TypedCodecOptions {
  /** The client flags of plain bytes. Default 0, as every client has it. */
  bytesFlags?: number | undefined
  /** Compress what is written; what was compressed is read in any case. */
  compression?: CompressionOptions | undefined
}

/**
 * The codec of `values: 'typed'`: what goes in comes out, of the same type. Strings and plain JSON are readable by
 * other languages (flags 1 and 2, as the guide's Python program has them), bytes are stored as they are, and what JSON
 * has no word for (Date, Map, Set, bigint, undefined, typed arrays) is tagged.
 */
export function typedCodec(options: TypedCodecOptions = {}): ValueCodec & ValueReader {
  const { bytesFlags = ClientFlags.bytes } = options
  const compression = options.compression && createCompression(options.compression)

  const encodePlain = (value: unknown): EncodedValue => {
    if (typeof value === 'string') return { bytes: value, clientFlags: ClientFlags.string }
    // A copy: the caller may go on writing to its buffer.
    if (Buffer.isBuffer(value)) return { bytes: Buffer.from(value), clientFlags: bytesFlags }
    if (isPlainJson(value)) return { bytes: JSON.stringify(value), clientFlags: ClientFlags.json }
    return { bytes: encodeOrExplain(value), clientFlags: ClientFlags.taggedJson }
  }

  return {
    encode(value) {
      const plain = encodePlain(value)
      const bytes = compression?.compress(plain.bytes)
      return bytes === undefined ? plain : { bytes, clientFlags: plain.clientFlags | compression!.flag }
    },
    decode(bytes, clientFlags) {
      return this.read(bytes, 0, bytes.length, clientFlags, true)
    },
    read(buffer, start, end, clientFlags, owned) {
      switch (clientFlags) {
        case ClientFlags.string:
          return buffer.toString('utf8', start, end)
        case ClientFlags.json:
          return parse(JSON.parse, buffer, start, end)
        case ClientFlags.bytes:
        case bytesFlags: {
          const bytes = buffer.subarray(start, end)
          return owned ? bytes : Buffer.from(bytes)
        }
        case ClientFlags.taggedJson:
          return parse(decodeTaggedJson, buffer, start, end)
        default: {
          const plainFlags = clientFlags & ~ClientFlags.compression
          if (plainFlags === clientFlags || plainFlags > ClientFlags.kitBytes) throw unknownFlags(clientFlags)
          const bytes = decompress(buffer.subarray(start, end), clientFlags)
          return this.read(bytes, 0, bytes.length, plainFlags, true)
        }
      }
    },
  }
}

function unknownFlags(clientFlags: number): MemcacheDecodeError {
  return new MemcacheDecodeError(
    `a value has client flags ${clientFlags}, which this client did not write: read it with the codec of who did`,
  )
}

function encodeOrExplain(value: unknown): string {
  try {
    return encodeTaggedJson(value)
  } catch (cause) {
    throw new MemcacheOptionError(`the value cannot be stored: ${(cause as Error).message}`, { cause })
  }
}

function parse(read: (text: string) => unknown, buffer: Buffer, start: number, end: number): unknown {
  try {
    return read(buffer.toString('utf8', start, end))
  } catch (cause) {
    throw new MemcacheDecodeError('a stored value is not the JSON that its client flags say', { cause })
  }
}
