import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { CompressionOptions } from './compression.ts'
import { typedCodec } from './typed-codec.ts'
import type { ValueCodec } from './value-codec.ts'

/** Codecs by the name of the client whose values they read and write. */
const PRESETS = {} as const satisfies Record<string, (options: { compressOverBytes?: number }) => ValueCodec>

/** Clients whose values can be read and written. */
export type PresetName = keyof typeof PRESETS

/** @throws MemcacheOptionError for a name that there is not, or a compression that a format does not have. */
export function createCodec(
  values: 'typed' | PresetName | ValueCodec,
  compression: CompressionOptions | undefined,
): ValueCodec {
  if (values === 'typed') return typedCodec({ compression })
  return values
}
