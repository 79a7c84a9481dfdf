import { compressOver, decompressAny, nativeFormat, readJson, unknownFlags, writeBytes, writeJson } from './preset.ts'
import type { PresetOptions } from './preset.ts'
import type { EncodedValue, ValueCodec } from '../../values/value-codec.ts'

const SERIALIZED = 1
const COMPRESSED = 2
const UTF8 = 4
/** The first bytes of a value in Ruby's Marshal: the version, 4.8. */
const MARSHAL = 0x0408

/**
 * Returns the codec of Dalli's values with `serializer: JSON`: JSON, and raw strings, which are bytes to Ruby unless
 * their flag says that they are UTF-8 (`string_fastpath`). Its default serializer, Marshal, is refused.
 */
export function dalliCodec(options: PresetOptions): ValueCodec {
  const encodePlain = (value: unknown): EncodedValue => {
    if (Buffer.isBuffer(value)) return { bytes: writeBytes(value, 'dalli'), clientFlags: 0 }
    return { bytes: writeJson(value, 'dalli'), clientFlags: SERIALIZED }
  }
  return {
    encode: (value) => compressOver(encodePlain(value), options, { flag: COMPRESSED }),
    decode: (bytes, clientFlags) => {
      const plain = (clientFlags & COMPRESSED) === 0 ? bytes : decompressAny(bytes, options.maxDecompressedBytes)
      switch (clientFlags & ~COMPRESSED) {
        case 0:
          return plain
        case UTF8:
          return plain.toString()
        case SERIALIZED:
          if (plain.length >= 2 && plain.readUInt16BE(0) === MARSHAL) {
            throw nativeFormat("Ruby's Marshal", 'give Dalli `serializer: JSON`')
          }
          return readJson(plain)
        default:
          throw unknownFlags(clientFlags, 'dalli')
      }
    },
  }
}
