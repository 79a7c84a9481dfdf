import { MemcacheOptionError } from 'memcache-ts-protocol'
import { DEFAULT_MAX_DECOMPRESSED_BYTES } from './compression.ts'
import type { CompressionOptions } from './compression.ts'
import { dalliCodec } from './presets/dalli.ts'
import { javaCodec } from './presets/java.ts'
import { memjsCodec } from './presets/memjs.ts'
import { npmMemcachedCodec } from './presets/npm-memcached.ts'
import { phpMemcachedCodec } from './presets/php-memcached.ts'
import type { PresetOptions } from './presets/preset.ts'
import { pylibmcCodec, pymemcacheCodec } from './presets/python.ts'
import { typedCodec } from './typed-codec.ts'
import { guardedCodec } from './value-codec.ts'
import type { ValueCodec } from './value-codec.ts'

const DEFAULT_OVER_BYTES = 1024

/** Codecs by the name of the client whose values they read and write. */
const PRESETS = {
  pymemcache: pymemcacheCodec,
  pylibmc: pylibmcCodec,
  dalli: dalliCodec,
  'php-memcached': phpMemcachedCodec,
  spymemcached: javaCodec,
  xmemcached: javaCodec,
  memcached: () => npmMemcachedCodec(),
  memjs: memjsCodec,
} as const satisfies Record<string, (options: PresetOptions) => ValueCodec>

/** Clients whose values can be read and written. */
export type PresetName = keyof typeof PRESETS

/** Clients that never compress. */
const PLAIN: readonly PresetName[] = ['memcached', 'memjs']

/**
 * The codec that options say.
 * @throws MemcacheOptionError for a name that there is not, or a compression that a format does not have.
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

function presetCodec(
  name: PresetName,
  compression: CompressionOptions | undefined,
  maxDecompressedBytes: number,
): ValueCodec {
  if (!Object.hasOwn(PRESETS, name)) {
    const known = ['typed', ...Object.keys(PRESETS)].map((preset) => `'${preset}'`).join(', ')
    throw new MemcacheOptionError(`values is a codec or one of ${known}, got '${name}'`)
  }
  if (compression !== undefined && PLAIN.includes(name)) {
    throw new MemcacheOptionError(`${name} does not compress: leave compression out`)
  }
  if (compression?.algorithm !== undefined) {
    throw new MemcacheOptionError(`${name} has its own compression: say { overBytes } or true, not an algorithm`)
  }
  const compressOverBytes = compression && (compression.overBytes ?? DEFAULT_OVER_BYTES)
  return PRESETS[name]({ compressOverBytes, maxDecompressedBytes })
}
