import * as zlib from 'node:zlib'
import { MemcacheDecodeError } from 'memcache-ts-protocol'
import { MAX_DECOMPRESSED_BYTES } from '../compression.ts'
import type { EncodedValue, ValueCodec } from '../value-codec.ts'
import { decompressFastlz } from './fastlz.ts'
import { compressOver, decompressAny, nativeFormat, readInteger, readJson, unknownFlags } from './preset.ts'
import type { PresetOptions } from './preset.ts'

/** The low four bits: what kind of value it is. */
const Type = { string: 0, long: 1, double: 2, bool: 3, serialized: 4, igbinary: 5, json: 6, msgpack: 7 } as const
const TYPE_BITS = 0xf
const COMPRESSED = 16
const ZLIB = 32
const FASTLZ = 64
const ZSTD = 128
const LENGTH_BYTES = 4

const NATIVE: Readonly<Record<number, string>> = {
  [Type.serialized]: "PHP's serialize",
  [Type.igbinary]: 'igbinary',
  [Type.msgpack]: 'msgpack',
}

/**
 * Values as php-memcached has them with `Memcached::SERIALIZER_JSON`: strings, numbers, booleans and JSON, compressed by
 * zlib, FastLZ or zstd, zlib when written. PHP's own formats are refused.
 */
export function phpMemcachedCodec({ compressOverBytes }: PresetOptions = {}): ValueCodec {
  return {
    encode: (value) => compressOver(encodePlain(value), compressOverBytes, COMPRESSED | ZLIB, deflateWithLength),
    decode: (bytes, clientFlags) => {
      const type = clientFlags & TYPE_BITS
      const plain = (clientFlags & COMPRESSED) === 0 ? bytes : decompress(bytes, clientFlags)
      switch (type) {
        case Type.string:
          return plain.toString()
        case Type.long:
          return readInteger(plain.toString())
        case Type.double:
          return readDouble(plain.toString())
        case Type.bool:
          return plain.toString() === '1'
        case Type.json:
          return readJson(plain)
        default: {
          const native = NATIVE[type]
          if (native === undefined) throw unknownFlags(clientFlags, 'php-memcached')
          throw nativeFormat(native, 'set Memcached::OPT_SERIALIZER to Memcached::SERIALIZER_JSON')
        }
      }
    },
  }
}

function encodePlain(value: unknown): EncodedValue {
  if (typeof value === 'string') return { bytes: value, clientFlags: Type.string }
  if (Buffer.isBuffer(value)) return { bytes: Buffer.from(value), clientFlags: Type.string }
  if (typeof value === 'boolean') return { bytes: value ? '1' : '', clientFlags: Type.bool }
  if (typeof value === 'bigint' || Number.isSafeInteger(value)) return { bytes: String(value), clientFlags: Type.long }
  if (typeof value === 'number') return { bytes: doubleText(value), clientFlags: Type.double }
  return { bytes: JSON.stringify(value ?? null), clientFlags: Type.json }
}

/** PHP's words for what is no finite number. */
function doubleText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (Number.isFinite(value)) return String(value)
  return value > 0 ? 'Infinity' : '-Infinity'
}

function readDouble(text: string): number {
  const number = Number(text)
  if (text === '' || (Number.isNaN(number) && text !== 'NaN')) {
    throw new MemcacheDecodeError(`a stored number is ${JSON.stringify(text.slice(0, 40))}`)
  }
  return number
}

/** A native uint32 with the length, little-endian on the machines that there are, and what zlib made. */
function deflateWithLength(bytes: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32LE(bytes.length)
  return Buffer.concat([length, zlib.deflateSync(bytes)])
}

function decompress(bytes: Buffer, clientFlags: number): Buffer {
  if (bytes.length < LENGTH_BYTES) throw new MemcacheDecodeError('a compressed value is cut off')
  const length = bytes.readUInt32LE(0)
  if (length > MAX_DECOMPRESSED_BYTES) {
    throw new MemcacheDecodeError(`a compressed value says that it becomes ${length} bytes`)
  }
  const compressed = bytes.subarray(LENGTH_BYTES)
  if ((clientFlags & FASTLZ) !== 0) return decompressFastlz(compressed, length)
  if ((clientFlags & ZSTD) !== 0) return decompressZstd(compressed)
  return decompressAny(compressed)
}

function decompressZstd(bytes: Buffer): Buffer {
  const { zstdDecompressSync } = zlib as { zstdDecompressSync?: (bytes: Buffer, options: object) => Buffer }
  if (zstdDecompressSync === undefined) {
    throw new MemcacheDecodeError(`a value is compressed by zstd, which Node ${process.version} has not: 22.15 has`)
  }
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: MAX_DECOMPRESSED_BYTES })
  } catch (cause) {
    throw new MemcacheDecodeError(`a compressed value cannot be read: ${(cause as Error).message}`, { cause })
  }
}
