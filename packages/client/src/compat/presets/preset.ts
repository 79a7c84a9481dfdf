import { constants, deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib'
import { kindOf, MemcacheDecodeError, MemcacheOptionError } from 'memcache-ts-protocol'
import { decompressBy } from '../../values/compression.ts'
import { isPlainJson } from '../../values/json-kinds.ts'
import { decodeJson } from '../../values/tagged-json-decoder.ts'
import { isDetached } from '../../values/tagged-json-encoder.ts'
import { messageOf } from '../../errors.ts'
import type { EncodedValue } from '../../values/value-codec.ts'

/** Options of a codec for the values of another client. */
export interface PresetOptions {
  /**
   * The size over which values are compressed, in that client's format; `undefined` never compresses. Compressed values
   * are always read.
   */
  readonly compressOverBytes: number | undefined
  /** The maximum size of a decompressed value, in bytes; larger values are not compressed. */
  readonly maxDecompressedBytes: number
}

const GZIP_MAGIC = 0x1f8b

/** The compression of another client. */
interface Compression {
  /** Added to the client flags of compressed values. */
  readonly flag: number
  /** Default: zlib. */
  readonly compress?: (bytes: Buffer) => Buffer
}

/** Returns an encoded value, compressed if it is over the size and compression makes it smaller. */
export function compressOver(
  encoded: EncodedValue,
  { compressOverBytes, maxDecompressedBytes }: PresetOptions,
  { flag, compress = deflateSync }: Compression,
): EncodedValue {
  const { bytes: value, clientFlags } = encoded
  if (compressOverBytes === undefined || value.length * 3 <= compressOverBytes) return encoded
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  if (bytes.length <= compressOverBytes || bytes.length > maxDecompressedBytes) return encoded
  const compressed = compress(bytes)
  return compressed.length < bytes.length ? { bytes: compressed, clientFlags: clientFlags | flag } : encoded
}

export function gzip(bytes: Buffer): Buffer {
  return gzipSync(bytes, { level: constants.Z_BEST_SPEED })
}

/**
 * Returns the bytes that zlib or gzip compressed; the first bytes decide which.
 *
 * @throws MemcacheDecodeError if the bytes are invalid, or the result would be too large.
 */
export function decompressAny(bytes: Buffer, maxBytes: number): Buffer {
  const isGzip = bytes.length >= 2 && bytes.readUInt16BE(0) === GZIP_MAGIC
  return decompressBy(isGzip ? gunzipSync : inflateSync, bytes, maxBytes)
}

/** The maximum number of digits of a whole number, since parsing digits takes more than linear time. */
const MAX_DIGITS = 10_000

/**
 * Returns a whole number from its digits; a bigint if a number would not be exact. Trailing spaces are allowed, since
 * memcached's `decr` leaves them when a number becomes shorter.
 */
export function readInteger(text: string): number | bigint {
  const digits = text.trimEnd()
  if (digits.length > MAX_DIGITS || !/^-?\d+$/.test(digits)) {
    throw new MemcacheDecodeError(`a stored number is ${JSON.stringify(text.slice(0, 40))}`)
  }
  const number = Number(digits)
  return Number.isSafeInteger(number) ? number : BigInt(digits)
}

/** Returns a number from its text: NaN and the infinities by JavaScript's names. */
export function readNumber(text: string): number {
  const number = Number(text)
  if (text.trim() === '' || (Number.isNaN(number) && text !== 'NaN')) {
    throw new MemcacheDecodeError(`a stored number is ${JSON.stringify(text.slice(0, 40))}`)
  }
  return number
}

/** @throws MemcacheDecodeError if the bytes are not JSON. */
export function readJson(bytes: Buffer): unknown {
  try {
    return decodeJson(bytes.toString())
  } catch (cause) {
    throw new MemcacheDecodeError(`a stored value is not JSON, although its client flags say so: ${messageOf(cause)}`, {
      cause,
    })
  }
}

/**
 * Returns a value as JSON that decodes to the same value.
 *
 * @throws MemcacheOptionError if JSON cannot express the value.
 */
export function writeJson(value: unknown, client: string): string {
  if (isPlain(value)) return JSON.stringify(value)
  throw cannotWrite(
    value,
    client,
    'it is not the JSON that it would come back as: store JSON.parse(JSON.stringify(value))',
  )
}

function isPlain(value: unknown): boolean {
  try {
    return isPlainJson(value)
  } catch {
    // A getter or a proxy has thrown.
    return false
  }
}

/**
 * Returns the digits of a whole number.
 *
 * @throws MemcacheOptionError if a bigint would be read as a number, or is out of range.
 */
export function writeInteger(
  value: number | bigint,
  client: string,
  isInRange: (value: bigint) => boolean = () => true,
): string {
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (Number.isSafeInteger(Number(value)))
    throw cannotWrite(value, client, `it would come back as a number: give ${value}`)
  if (!isInRange(value)) throw cannotWrite(value, client, 'its whole numbers have 64 bits')
  const digits = String(value)
  if (digits.length > MAX_DIGITS) throw cannotWrite(value, client, `it has more than ${MAX_DIGITS} digits`)
  return digits
}

/** Returns whether a whole number has 64 bits, one of them for the sign. */
export function isInt64(value: bigint): boolean {
  return BigInt.asIntN(64, value) === value
}

/**
 * Returns text that is stored as UTF-8.
 *
 * @throws MemcacheOptionError if UTF-8 cannot express the text.
 */
export function writeText(text: string, client: string): string {
  if (text.isWellFormed()) return text
  throw cannotWrite(text, client, 'it has half of a surrogate pair, which UTF-8 has no bytes for')
}

/** Returns a copy of a Buffer, since the caller may continue to write to it. */
export function writeBytes(bytes: Buffer, client: string): Buffer {
  if (bytes.length === 0 && isDetached(bytes.buffer)) throw cannotWrite(bytes, client, 'it was transferred')
  return Buffer.from(bytes)
}

/**
 * Returns the error for a value in a language's own format, which cannot be decoded here; decoding such formats can run
 * code.
 */
export function nativeFormat(format: string, instead: string): MemcacheDecodeError {
  return new MemcacheDecodeError(`the value is in ${format}, which is not read: ${instead}`)
}

/** Returns the error for a value that the other client could not read, or would read as a different value. */
export function cannotWrite(value: unknown, client: string, instead: string): MemcacheOptionError {
  return new MemcacheOptionError(`${kindOf(value)} cannot be written so that ${client} reads it: ${instead}`)
}

/** Returns the error for client flags that the other client does not write. */
export function unknownFlags(clientFlags: number, client: string): MemcacheDecodeError {
  return new MemcacheDecodeError(`a value has client flags ${clientFlags}, which ${client} does not write`)
}
