import {
  cannotWrite,
  compressOver,
  decompressAny,
  nativeFormat,
  readInteger,
  unknownFlags,
  writeBytes,
  writeInteger,
  writeText,
} from './preset.ts'
import type { PresetOptions } from './preset.ts'
import type { EncodedValue, ValueCodec } from '../../values/value-codec.ts'

/** The client flags of python-memcached, which its successors kept. */
const PICKLE = 1
const INTEGER = 2
const LONG = 4
const ZLIB = 8
const TEXT = 16

const INSTEAD = 'write text, bytes, numbers or JSON in Python'

/**
 * Returns the codec of pymemcache's `pickle_serde` and `compressed_serde`: text, bytes and whole numbers. Values that
 * it would pickle are refused.
 */
export function pymemcacheCodec(options: PresetOptions): ValueCodec {
  return {
    encode: (value) => compressOver(encodePlain(value, 'pymemcache', INTEGER), options, { flag: ZLIB }),
    decode: (bytes, clientFlags) =>
      decodePlain(uncompressed(bytes, clientFlags, options), clientFlags, {
        name: 'pymemcache',
        readFlag2: readInteger,
      }),
  }
}

/**
 * Returns the codec of pylibmc's values: text, bytes, whole numbers and booleans. Values that it would pickle are
 * refused.
 */
export function pylibmcCodec(options: PresetOptions): ValueCodec {
  return {
    encode: (value) => {
      const plain =
        typeof value === 'boolean'
          ? { bytes: value ? '1' : '0', clientFlags: INTEGER }
          : encodePlain(value, 'pylibmc', LONG)
      return compressOver(plain, options, { flag: ZLIB })
    },
    // This flag means an integer in other clients, and a boolean in pylibmc.
    decode: (bytes, clientFlags) =>
      decodePlain(uncompressed(bytes, clientFlags, options), clientFlags, {
        name: 'pylibmc',
        readFlag2: (text) => readInteger(text) !== 0,
      }),
  }
}

function encodePlain(value: unknown, client: string, integerFlag: number): EncodedValue {
  if (typeof value === 'string') return { bytes: writeText(value, client), clientFlags: TEXT }
  if (Buffer.isBuffer(value)) return { bytes: writeBytes(value, client), clientFlags: 0 }
  if (typeof value === 'bigint' || Number.isSafeInteger(value)) {
    return { bytes: writeInteger(value as number | bigint, client), clientFlags: integerFlag }
  }
  throw cannotWrite(value, client, 'store JSON.stringify(value), and json.loads it there')
}

function uncompressed(bytes: Buffer, clientFlags: number, { maxDecompressedBytes }: PresetOptions): Buffer {
  return (clientFlags & ZLIB) === 0 ? bytes : decompressAny(bytes, maxDecompressedBytes)
}

/** A client of Python, and its own meaning of the flag 2. */
interface PythonClient {
  readonly name: string
  readonly readFlag2: (text: string) => unknown
}

function decodePlain(plain: Buffer, clientFlags: number, { name, readFlag2 }: PythonClient): unknown {
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
      throw unknownFlags(clientFlags, name)
  }
}
