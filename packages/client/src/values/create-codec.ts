import { MemcacheOptionError } from 'memcache-ts-protocol'
import { presetCodec } from '../compat/presets/preset-codec.ts'
import type { PresetName } from '../compat/presets/preset-codec.ts'
import { DEFAULT_MAX_DECOMPRESSED_BYTES } from './compression.ts'
import type { CompressionOptions } from './compression.ts'
import { typedCodec } from './typed-codec.ts'
import { guardedCodec } from './guarded-codec.ts'
import type { ValueCodec } from './value-codec.ts'

/**
 * Returns the codec that the options select.
 *
 * @throws MemcacheOptionError if the name is unknown, or the format does not have the compression.
 */
export function createCodec(
  values: 'typed' | PresetName | ValueCodec,
  compression: CompressionOptions | undefined,
  maxDecompressedBytes = DEFAULT_MAX_DECOMPRESSED_BYTES,
): ValueCodec {
  if (values === 'typed') return typedCodec({ compression, maxDecompressedBytes })
  if (typeof values === 'string') return presetCodec(values, compression, maxDecompressedBytes)
  if (compression !== undefined) {
    throw new MemcacheOptionError('compression is for the values of this client: compress in your own codec')
  }
  if (typeof values?.encode !== 'function' || typeof values.decode !== 'function') {
    throw new MemcacheOptionError('a codec has the methods encode and decode')
  }
  return guardedCodec(values)
}
