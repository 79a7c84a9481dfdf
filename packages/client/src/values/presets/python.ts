import { readInteger, compressOver, cannotWrite, decompressAny, nativeFormat, unknownFlags } from './preset.ts'
import type { PresetOptions } from './preset.ts'
import type { EncodedValue, ValueCodec } from '../value-codec.ts'

/** The flags that python-memcached had, and its successors took over. */
const PICKLE = 1
const INTEGER = 2
const LONG = 4
const ZLIB = 8
const TEXT = 16

const INSTEAD = 'write text, bytes, numbers or JSON in Python'

/**
 * Values as pymemcache's `pickle_serde` and `compressed_serde` have them: text, bytes and whole numbers. What it would
 * pickle is refused.
 */
export function pymemcacheCodec({ compressOverBytes }: PresetOptions = {}): ValueCodec {
  return {
    encode: (value) => compressOver(encodePlain(value, 'pymemcache', INTEGER), compressOverBytes, ZLIB),
    decode: (bytes, clientFlags) => decodePlain(bytes, clientFlags, 'pymemcache', readInteger),
  }
}

/** Values as pylibmc has them: text, bytes, whole numbers and booleans. What it would pickle is refused. */
export function pylibmcCodec({ compressOverBytes }: PresetOptions = {}): ValueCodec {
  return {
    encode: (value) => {
      const plain =
        typeof value === 'boolean'
          ? { bytes: value ? '1' : '0', clientFlags: INTEGER }
          : encodePlain(value, 'pylibmc', LONG)
      return compressOver(plain, compressOverBytes, ZLIB)
    },
    // What is an integer elsewhere is a boolean to pylibmc.
    decode: (bytes, clientFlags) => decodePlain(bytes, clientFlags, 'pylibmc', (text) => readInteger(text) !== 0),
  }
}

function encodePlain(value: unknown, client: string, integerFlag: number): EncodedValue {
  if (typeof value === 'string') return { bytes: value, clientFlags: TEXT }
  if (Buffer.isBuffer(value)) return { bytes: Buffer.from(value), clientFlags: 0 }
  if (typeof value === 'bigint' || Number.isSafeInteger(value))
    return { bytes: String(value), clientFlags: integerFlag }
  throw cannotWrite(value, client, 'store JSON.stringify(value), and json.loads it there')
}

function decodePlain(
  bytes: Buffer,
  clientFlags: number,
  client: string,
  readFlag2: (text: string) => unknown,
): unknown {
  const plain = (clientFlags & ZLIB) === 0 ? bytes : decompressAny(bytes)
  switch (clientFlags & ~ZLIB) {
    case 0:
      return plain
    case TEXT:
      return plain.toString()
    case INTEGER:
      return readFlag2(plain.toString())
    case LONG:
      return readInteger(plain.toString())
    case PICKLE:
      throw nativeFormat("Python's pickle", INSTEAD)
    default:
      throw unknownFlags(clientFlags, client)
  }
}
