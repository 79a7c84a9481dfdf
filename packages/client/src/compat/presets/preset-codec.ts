import { MemcacheOptionError } from 'memcache-ts-protocol'
import { checkCompression } from '../../values/compression.ts'
import type { CompressionOptions } from '../../values/compression.ts'
import type { ValueCodec } from '../../values/value-codec.ts'
import { dalliCodec } from './dalli.ts'
import { javaCodec } from './java.ts'
import { memjsCodec, npmMemcachedCodec } from './npm-clients.ts'
import { phpMemcachedCodec } from './php-memcached.ts'
import type { PresetOptions } from './preset.ts'
import { pylibmcCodec, pymemcacheCodec } from './python.ts'

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
 * Returns the codec of another client's values, by the client's name.
 *
 * @throws MemcacheOptionError if the name is unknown, or the client does not have the compression.
 */
export function presetCodec(
  name: PresetName,
  compression: CompressionOptions | undefined,
  maxDecompressedBytes: number,
): ValueCodec {
  if (!Object.hasOwn(PRESETS, name)) {
    const known = ['typed', ...Object.keys(PRESETS)].map((preset) => `'${preset}'`).join(', ')
    throw new MemcacheOptionError(`values must be a codec or one of ${known}, got '${name}'`)
  }
  if (compression !== undefined && PLAIN.includes(name)) {
    throw new MemcacheOptionError(`${name} does not compress: leave compression out`)
  }
  if (compression !== undefined) checkCompression(compression)
  if (compression?.algorithm !== undefined || compression?.level !== undefined) {
    throw new MemcacheOptionError(
      `${name} has its own compression: set { overBytes } or true, not an algorithm or a level`,
    )
  }
  const compressOverBytes = compression && (compression.overBytes ?? DEFAULT_OVER_BYTES)
  return PRESETS[name]({ compressOverBytes, maxDecompressedBytes })
}
