import * as zlib from 'node:zlib'
import {
  checkOptions,
  choiceOption,
  ClientFlags,
  kindOf,
  MemcacheDecodeError,
  MemcacheOptionError,
  rangeOption,
} from 'memcache-ts-protocol'
import type { OptionRange } from 'memcache-ts-protocol'
import { messageOf } from '../errors.ts'

/** The algorithms by which values are compressed. */
export type CompressionAlgorithm = 'gzip' | 'brotli' | 'zstd'

/** Options of compression. */
export interface CompressionOptions {
  /** Default `gzip`; `zstd` where Node has it, from 22.15 on. */
  algorithm?: CompressionAlgorithm | undefined
  /** Values of fewer bytes are not compressed. Default 1024. */
  overBytes?: number | undefined
  /** The algorithm's own level: gzip 1 to 9, brotli 0 to 11, zstd 1 to 22. Default: a fast one, 1, 3 or 3. */
  level?: number | undefined
}

/**
 * The default maximum size of a decompressed value, in bytes: a larger value is treated as a decompression bomb. Larger
 * values are not compressed when they are stored, so that they can be read.
 */
export const DEFAULT_MAX_DECOMPRESSED_BYTES = 8 * 1024 * 1024

/** The functions of `node:zlib` for zstd, which Node has from 22.15 on. */
interface Zstd {
  readonly zstdCompressSync?: (bytes: Buffer, options: object) => Buffer
  readonly zstdDecompressSync?: Decompressor
}

const { zstdCompressSync, zstdDecompressSync } = zlib as Zstd
/** ZSTD_c_compressionLevel. */
const ZSTD_LEVEL = 100
const OVER_BYTES = 1024

/**
 * Compression of encoded values. It is synchronous: if it ran in a thread, a value that is set later could be stored
 * earlier. For that reason, the default levels are fast.
 */
export interface Compression {
  /** The bits that mark a compressed value in its client flags. */
  readonly flag: number
  /** Returns the compressed bytes, or `undefined` if they are not fewer than the bytes of the value. */
  compress(value: Buffer | string): Buffer | undefined
}

const OPTION_NAMES = ['algorithm', 'overBytes', 'level'] as const satisfies readonly (keyof CompressionOptions)[]
const HINTS = { threshold: 'overBytes', minBytes: 'overBytes', minSize: 'overBytes', quality: 'level' }
const ALGORITHMS = ['gzip', 'brotli', 'zstd'] as const satisfies readonly CompressionAlgorithm[]
const LEVELS: Readonly<Record<CompressionAlgorithm, OptionRange>> = { gzip: [1, 9], brotli: [0, 11], zstd: [1, 22] }

/** @throws MemcacheOptionError if an option is unknown or invalid. */
export function checkCompression(options: CompressionOptions): void {
  checkOptions('compression', options, { names: OPTION_NAMES, hints: HINTS })
  const { algorithm = 'gzip', overBytes = OVER_BYTES, level } = options
  choiceOption('the algorithm of compression', algorithm, ALGORITHMS)
  if (!(typeof overBytes === 'number' && overBytes >= 0)) {
    const got = typeof overBytes === 'number' ? overBytes : kindOf(overBytes)
    throw new MemcacheOptionError(`compression.overBytes must be a number of bytes from 0 on, got ${got}`)
  }
  if (level !== undefined) rangeOption('compression.level', level, LEVELS[algorithm])
}

/** @throws MemcacheOptionError if an option is invalid, or this version of Node does not have the algorithm. */
export function createCompression(options: CompressionOptions, maxBytes: number): Compression {
  checkCompression(options)
  const { algorithm = 'gzip', overBytes = OVER_BYTES, level } = options
  const compress = compressorOf(algorithm, level)
  return {
    flag: ClientFlags[algorithm],
    compress: (value) => {
      // No character takes more than three bytes.
      if (value.length * 3 < overBytes) return undefined
      const bytes = typeof value === 'string' ? Buffer.from(value) : value
      if (bytes.length < overBytes || bytes.length > maxBytes) return undefined
      const compressed = compress(bytes)
      return compressed.length < bytes.length ? compressed : undefined
    },
  }
}

function compressorOf(algorithm: CompressionAlgorithm, level: number | undefined): (bytes: Buffer) => Buffer {
  switch (algorithm) {
    case 'gzip':
      return (bytes) => zlib.gzipSync(bytes, { level: level ?? 1 })
    case 'brotli': {
      const params = { [zlib.constants.BROTLI_PARAM_QUALITY]: level ?? 3 }
      return (bytes) => zlib.brotliCompressSync(bytes, { params })
    }
    default: {
      if (zstdCompressSync === undefined) {
        throw new MemcacheOptionError(`this Node ${process.version} has no zstd: use 'gzip', or Node 22.15 or later`)
      }
      const params = { [ZSTD_LEVEL]: level ?? 3 }
      return (bytes) => zstdCompressSync(bytes, { params })
    }
  }
}

/** Decompresses bytes by one algorithm, as the functions of `node:zlib` do. */
export type Decompressor = (bytes: Buffer, limit: { maxOutputLength: number }) => Buffer

/**
 * Decompresses a value by the algorithm in its client flags.
 *
 * @throws MemcacheDecodeError if the bytes are invalid, or would become more than `maxBytes`.
 */
export function decompress(bytes: Buffer, clientFlags: number, maxBytes: number): Buffer {
  switch (clientFlags & ClientFlags.compression) {
    case ClientFlags.gzip:
      return decompressBy(zlib.gunzipSync, bytes, maxBytes)
    case ClientFlags.brotli:
      return decompressBy(zlib.brotliDecompressSync, bytes, maxBytes)
    default:
      return decompressZstd(bytes, maxBytes)
  }
}

/** @throws MemcacheDecodeError as `decompress`, and if this version of Node has no zstd. */
export function decompressZstd(bytes: Buffer, maxBytes: number): Buffer {
  if (zstdDecompressSync === undefined) {
    throw new MemcacheDecodeError(
      `a value is compressed by zstd, which Node ${process.version} does not support: use Node 22.15 or later`,
    )
  }
  return decompressBy(zstdDecompressSync, bytes, maxBytes)
}

/** @throws MemcacheDecodeError as `decompress`. */
export function decompressBy(decompressor: Decompressor, bytes: Buffer, maxBytes: number): Buffer {
  try {
    return decompressor(bytes, { maxOutputLength: maxBytes })
  } catch (cause) {
    throw (cause as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE'
      ? tooManyBytes(maxBytes, cause)
      : new MemcacheDecodeError(`a compressed value cannot be read: ${messageOf(cause)}`, { cause })
  }
}

/** Returns the error for a value that would become too large. */
export function tooManyBytes(maxBytes: number, cause?: unknown): MemcacheDecodeError {
  return new MemcacheDecodeError(
    `a compressed value has more than ${maxBytes} bytes after decompression: raise maxDecompressedBytes to read it`,
    { cause },
  )
}
