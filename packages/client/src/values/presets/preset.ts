import { constants, deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib'
import { MemcacheDecodeError, MemcacheOptionError } from 'memcache-ts-protocol'
import { MAX_DECOMPRESSED_BYTES } from '../compression.ts'
import type { EncodedValue } from '../value-codec.ts'

/** Options of a codec that reads and writes what another client does. */
export interface PresetOptions {
  /** Compress values of more bytes, as that client would. Default: never; what is compressed is read in any case. */
  compressOverBytes?: number | undefined
}

const LIMIT = { maxOutputLength: MAX_DECOMPRESSED_BYTES }
const GZIP_MAGIC = 0x1f8b

/** An encoded value, compressed where it is over a size and that is a gain; `flag` is added to its client flags then. */
export function compressOver(
  encoded: EncodedValue,
  overBytes: number | undefined,
  flag: number,
  compress: (bytes: Buffer) => Buffer = deflateSync,
): EncodedValue {
  const { bytes: value, clientFlags } = encoded
  if (overBytes === undefined || value.length * 3 <= overBytes) return encoded
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  if (bytes.length <= overBytes) return encoded
  const compressed = compress(bytes)
  return compressed.length < bytes.length ? { bytes: compressed, clientFlags: clientFlags | flag } : encoded
}

export function gzip(bytes: Buffer): Buffer {
  return gzipSync(bytes, { level: constants.Z_BEST_SPEED })
}

/**
 * What zlib or gzip has made smaller, as its first bytes say.
 * @throws MemcacheDecodeError for other bytes, or a result that would be too large.
 */
export function decompressAny(bytes: Buffer): Buffer {
  try {
    const isGzip = bytes.length >= 2 && bytes.readUInt16BE(0) === GZIP_MAGIC
    return isGzip ? gunzipSync(bytes, LIMIT) : inflateSync(bytes, LIMIT)
  } catch (cause) {
    throw new MemcacheDecodeError(`a compressed value cannot be read: ${(cause as Error).message}`, { cause })
  }
}

/** A whole number from its digits: a bigint where a number would not be exact. */
export function readInteger(text: string): number | bigint {
  if (!/^-?\d+$/.test(text)) throw new MemcacheDecodeError(`a stored number is ${JSON.stringify(text.slice(0, 40))}`)
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : BigInt(text)
}

/** @throws MemcacheDecodeError for what is no JSON. */
export function readJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch (cause) {
    throw new MemcacheDecodeError('a stored value is not the JSON that its client flags say', { cause })
  }
}

/** The error for a value in a language's own format: reading one can run code, and it means nothing here. */
export function nativeFormat(format: string, instead: string): MemcacheDecodeError {
  return new MemcacheDecodeError(`the value is in ${format}, which is not read: ${instead}`)
}

/** The error for a value that the other client would not understand. */
export function cannotWrite(value: unknown, client: string, instead: string): MemcacheOptionError {
  const kind = value === null ? 'null' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
  return new MemcacheOptionError(`${kind} cannot be written so that ${client} reads it: ${instead}`)
}

/** The error for client flags that the other client does not write. */
export function unknownFlags(clientFlags: number, client: string): MemcacheDecodeError {
  return new MemcacheDecodeError(`a value has client flags ${clientFlags}, which ${client} does not write`)
}
