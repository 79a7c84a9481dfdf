import { types } from 'node:util'
import { MemcacheDecodeError } from 'memcache-ts-protocol'
import type { EncodedValue, ValueCodec } from '../../values/value-codec.ts'
import {
  cannotWrite,
  compressOver,
  decompressAny,
  gzip,
  isInt64,
  nativeFormat,
  unknownFlags,
  writeBytes,
  writeInteger,
  writeText,
} from './preset.ts'
import type { PresetOptions } from './preset.ts'

const SERIALIZED = 1
const COMPRESSED = 2
const Type = {
  string: 0,
  boolean: 0x100,
  int: 0x200,
  long: 0x300,
  date: 0x400,
  byte: 0x500,
  float: 0x600,
  double: 0x700,
  bytes: 0x800,
} as const
const LONG_BYTES = 8
const INT_BYTES = 4
const CLIENT = "Java's clients"
const ONE = '1'.charCodeAt(0)

/**
 * Returns the codec of values of spymemcached's and xmemcached's `SerializingTranscoder`: strings, numbers, booleans,
 * dates and bytes. Java's serialized objects are refused.
 */
export function javaCodec(options: PresetOptions): ValueCodec {
  return {
    encode: (value) => compressOver(encodePlain(value), options, { flag: COMPRESSED, compress: gzip }),
    decode: (bytes, clientFlags) => {
      if ((clientFlags & SERIALIZED) !== 0) {
        throw nativeFormat("Java's serialization", 'store strings, such as JSON, in Java')
      }
      const plain = (clientFlags & COMPRESSED) === 0 ? bytes : decompressAny(bytes, options.maxDecompressedBytes)
      return decodePlain(plain, clientFlags & ~COMPRESSED)
    },
  }
}

function encodePlain(value: unknown): EncodedValue {
  switch (typeof value) {
    case 'string':
      return { bytes: writeText(value, CLIENT), clientFlags: Type.string }
    case 'boolean':
      return { bytes: value ? '1' : '0', clientFlags: Type.boolean }
    case 'bigint':
      return { bytes: packZeros(BigInt(writeInteger(value, CLIENT, isInt64)), LONG_BYTES), clientFlags: Type.long }
    case 'number':
      return encodeNumber(value)
    default:
  }
  if (types.isDate(value)) return { bytes: packZeros(timeOf(value), LONG_BYTES), clientFlags: Type.date }
  if (Buffer.isBuffer(value)) return { bytes: writeBytes(value, CLIENT), clientFlags: Type.bytes }
  throw cannotWrite(value, CLIENT, 'store JSON.stringify(value), and parse the string there')
}

function timeOf(date: Date): bigint {
  if (Object.keys(date).length > 0) throw cannotWrite(date, CLIENT, 'it has properties of its own')
  // A subclass may have another `getTime`.
  const time = Date.prototype.getTime.call(date)
  if (Number.isNaN(time)) throw cannotWrite(date, CLIENT, 'the date is invalid')
  return BigInt(time)
}

function encodeNumber(value: number): EncodedValue {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    return (value | 0) === value
      ? { bytes: packZeros(BigInt(value), INT_BYTES), clientFlags: Type.int }
      : { bytes: packZeros(BigInt(value), LONG_BYTES), clientFlags: Type.long }
  }
  const bits = Buffer.alloc(LONG_BYTES)
  bits.writeDoubleBE(value)
  return { bytes: packZeros(bits.readBigInt64BE(), LONG_BYTES), clientFlags: Type.double }
}

function decodePlain(bytes: Buffer, type: number): unknown {
  switch (type) {
    case Type.string:
      return bytes.toString()
    case Type.bytes:
      return bytes
    case Type.boolean:
      return bytes[0] === ONE
    case Type.int:
      return Number(BigInt.asIntN(32, unpack(bytes)))
    case Type.long: {
      const long = BigInt.asIntN(64, unpack(bytes))
      return Number.isSafeInteger(Number(long)) ? Number(long) : long
    }
    case Type.date:
      return readDate(Number(BigInt.asIntN(64, unpack(bytes))))
    case Type.byte:
      return Number(BigInt.asIntN(8, unpack(bytes)))
    case Type.float:
      return widened(bytes, INT_BYTES).readFloatBE()
    case Type.double:
      return widened(bytes, LONG_BYTES).readDoubleBE()
    default:
      throw unknownFlags(type, 'spymemcached')
  }
}

function readDate(time: number): Date {
  const date = new Date(time)
  if (Number.isNaN(date.getTime())) throw new MemcacheDecodeError(`a stored date is invalid: ${time} ms`)
  return date
}

/** Writes a number big-endian, without leading zeros (`TranscoderUtils.encodeNum`). */
function packZeros(value: bigint, width: number): Buffer {
  const bytes = Buffer.alloc(LONG_BYTES)
  bytes.writeBigInt64BE(value)
  const narrow = bytes.subarray(LONG_BYTES - width)
  const first = narrow.findIndex((byte) => byte !== 0)
  return Buffer.from(first === -1 ? [] : narrow.subarray(first))
}

/** Returns the bytes with their leading zeros restored. */
function widened(bytes: Buffer, width: number): Buffer {
  if (bytes.length > width) throw new MemcacheDecodeError(`a stored number has ${bytes.length} bytes`)
  return Buffer.concat([Buffer.alloc(width - bytes.length), bytes])
}

function unpack(bytes: Buffer): bigint {
  return widened(bytes, LONG_BYTES).readBigUInt64BE()
}
