import type { ValueCodec } from '../../values/value-codec.ts'
import { cannotWrite, writeBytes, writeText } from './preset.ts'

/**
 * Returns the codec of memjs's values, which are bytes. Strings are written as UTF-8, and everything is read as a
 * Buffer, whatever its flags.
 */
export function memjsCodec(): ValueCodec {
  return {
    encode: (value) => {
      if (typeof value === 'string') return { bytes: writeText(value, 'memjs'), clientFlags: 0 }
      if (Buffer.isBuffer(value)) return { bytes: writeBytes(value, 'memjs'), clientFlags: 0 }
      throw cannotWrite(value, 'memjs', 'give it a string or a Buffer')
    },
    decode: (bytes) => bytes,
  }
}
