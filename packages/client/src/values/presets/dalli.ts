import { compressOver, decompressAny, nativeFormat, readJson, unknownFlags } from './preset.ts'
import type { PresetOptions } from './preset.ts'
import type { EncodedValue, ValueCodec } from '../value-codec.ts'

const SERIALIZED = 1
const COMPRESSED = 2
const UTF8 = 4
/** How a value in Ruby's Marshal begins: its version, 4.8. */
const MARSHAL = 0x0408

/**
 * Values as Dalli has them with `serializer: JSON`: JSON, and raw strings, which are bytes to Ruby unless their flag says
 * that they are UTF-8 (`string_fastpath`). Its default serializer, Marshal, is refused.
 */
export function dalliCodec({ compressOverBytes }: PresetOptions = {}): ValueCodec {
  const encodePlain = (value: unknown): EncodedValue => {
    if (Buffer.isBuffer(value)) return { bytes: Buffer.from(value), clientFlags: 0 }
    return { bytes: JSON.stringify(value ?? null), clientFlags: SERIALIZED }
  }
  return {
    encode: (value) => compressOver(encodePlain(value), compressOverBytes, COMPRESSED),
    decode: (bytes, clientFlags) => {
      const plain = (clientFlags & COMPRESSED) === 0 ? bytes : decompressAny(bytes)
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
