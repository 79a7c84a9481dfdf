import { isUtf8 } from 'node:buffer'
import { deflateSync } from 'node:zlib'
import { MemcacheDecodeError } from 'memcache-ts-protocol'
import { decompressZstd, tooManyBytes } from '../../values/compression.ts'
import type { EncodedValue, ValueCodec } from '../../values/value-codec.ts'
import {
  cannotWrite,
  compressOver,
  decompressAny,
  isInt64,
  nativeFormat,
  readInteger,
  readJson,
  readNumber,
  unknownFlags,
  writeBytes,
  writeInteger,
  writeJson,
  writeText,
} from './preset.ts'
import type { PresetOptions } from './preset.ts'

const CLIENT = 'php-memcached'
/** The kind of a value, in the low four bits of the client flags. */
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
 * Returns the codec of php-memcached's values with `Memcached::SERIALIZER_JSON`: strings, numbers, booleans and JSON,
 * compressed by zlib, FastLZ or zstd, zlib when written. PHP's own formats are refused.
 */
export function phpMemcachedCodec(options: PresetOptions): ValueCodec {
  return {
    encode: (value) =>
      compressOver(encodePlain(value), options, { flag: COMPRESSED | ZLIB, compress: deflateWithLength }),
    decode: (bytes, clientFlags) => {
      const type = clientFlags & TYPE_BITS
      const plain =
        (clientFlags & COMPRESSED) === 0 ? bytes : decompress(bytes, clientFlags, options.maxDecompressedBytes)
      switch (type) {
        case Type.string:
          return isUtf8(plain) ? plain.toString() : plain
        case Type.long:
          return readInteger(plain.toString())
        case Type.double:
          return readNumber(plain.toString())
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
  if (typeof value === 'string') return { bytes: writeText(value, CLIENT), clientFlags: Type.string }
  if (Buffer.isBuffer(value)) return { bytes: writeBinary(value), clientFlags: Type.string }
  if (typeof value === 'boolean') return { bytes: value ? '1' : '', clientFlags: Type.bool }
  if (typeof value === 'bigint') return { bytes: writeInteger(value, CLIENT, isInt64), clientFlags: Type.long }
  if (typeof value === 'number') {
    const isLong = Number.isSafeInteger(value) && !Object.is(value, -0)
    return isLong
      ? { bytes: String(value), clientFlags: Type.long }
      : { bytes: doubleText(value), clientFlags: Type.double }
  }
  return { bytes: writeJson(value, CLIENT), clientFlags: Type.json }
}

/** Writes bytes. PHP has one kind for text and bytes; only bytes that are not valid text are read as bytes. */
function writeBinary(value: Buffer): Buffer {
  if (isUtf8(value)) throw cannotWrite(value, CLIENT, 'its bytes are UTF-8 and would come back as text: give the text')
  return writeBytes(value, CLIENT)
}

/** Returns the text of a number, with PHP's names for numbers that are not finite. */
function doubleText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (Object.is(value, -0)) return '-0'
  if (Number.isFinite(value)) return String(value)
  return value > 0 ? 'Infinity' : '-Infinity'
}

/** Compresses bytes by zlib, after a native uint32 with the length (little-endian on common machines). */
function deflateWithLength(bytes: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32LE(bytes.length)
  return Buffer.concat([length, deflateSync(bytes)])
}

function decompress(bytes: Buffer, clientFlags: number, maxBytes: number): Buffer {
  if (bytes.length < LENGTH_BYTES) throw new MemcacheDecodeError('a compressed value is cut off')
  const length = bytes.readUInt32LE(0)
  if (length > maxBytes) throw tooManyBytes(maxBytes)
  const compressed = bytes.subarray(LENGTH_BYTES)
  if ((clientFlags & FASTLZ) !== 0) return decompressFastlz(compressed, length)
  if ((clientFlags & ZSTD) !== 0) return decompressZstd(compressed, maxBytes)
  return decompressAny(compressed, maxBytes)
}

/** The length field that means "more length bytes follow" (FastLZ, long match). */
const MAX_SHORT_LENGTH = 6
const FAR_OFFSET = 31 << 8
const FAR_DISTANCE = 8191

/**
 * Decompresses FastLZ, levels 1 and 2 (ariya.github.io/FastLZ): literal runs, and copies of earlier bytes.
 *
 * @param length the decompressed length, as stored with the value.
 * @throws MemcacheDecodeError if the bytes are not valid FastLZ.
 */
export function decompressFastlz(bytes: Buffer, length: number): Buffer {
  const level = (bytes[0] ?? 0) >> 5
  if (level > 1) throw broken()
  const out = Buffer.allocUnsafe(length)
  let at = 0
  let end = 0
  let control = next() & 31
  for (;;) {
    if (control >= 32) copyBack()
    else copyLiterals(control + 1)
    if (at >= bytes.length) break
    control = next()
  }
  if (end !== length) throw broken()
  return out

  function next(): number {
    const byte = bytes[at++]
    if (byte === undefined) throw broken()
    return byte
  }

  function copyLiterals(count: number): void {
    if (at + count > bytes.length || end + count > length) throw broken()
    bytes.copy(out, end, at, at + count)
    at += count
    end += count
  }

  function copyBack(): void {
    let count = (control >> 5) - 1
    const offset = (control & 31) << 8
    if (count === MAX_SHORT_LENGTH) {
      let more: number
      do {
        more = next()
        count += more
      } while (level === 1 && more === 255)
    }
    const low = next()
    let distance = offset + low + 1
    if (level === 1 && low === 255 && offset === FAR_OFFSET) distance = (next() << 8) + next() + FAR_DISTANCE + 1
    count += 3
    if (distance > end || end + count > length) throw broken()
    // Byte by byte, since the copy may overlap its target.
    for (let index = 0; index < count; index++, end++) out[end] = out[end - distance]!
  }
}

function broken(): MemcacheDecodeError {
  return new MemcacheDecodeError('a compressed value cannot be read: it is not FastLZ')
}
