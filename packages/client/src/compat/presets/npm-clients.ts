import type { ValueCodec } from '../../values/value-codec.ts'
import { cannotWrite, readJson, readNumber, unknownFlags, writeBytes, writeJson, writeText } from './preset.ts'

const CLIENT = 'memcached'
const JSON_FLAG = 2
const BINARY = 4
const NUMERIC = 8

/**
 * Returns the codec of npm memcached's values: strings, numbers, Buffers, and everything else as JSON. npm memcached
 * puts a backslash before line ends, and stores the bytes of a Buffer as the UTF-8 of their Latin-1 characters.
 *
 * @param toJson makes the JSON of a value. Default: values that JSON cannot express are refused.
 */
export function npmMemcachedCodec(toJson = strictJson): ValueCodec {
  return {
    encode: (value) => {
      if (typeof value === 'string') return { bytes: escape(writeText(value, CLIENT)), clientFlags: 0 }
      if (Buffer.isBuffer(value)) {
        return { bytes: escape(writeBytes(value, CLIENT).toString('latin1')), clientFlags: BINARY }
      }
      if (typeof value === 'number') return { bytes: Object.is(value, -0) ? '-0' : String(value), clientFlags: NUMERIC }
      return { bytes: escape(toJson(value)), clientFlags: JSON_FLAG }
    },
    decode: (bytes, clientFlags) => {
      switch (clientFlags) {
        case 0:
          return unescape(bytes)
        case JSON_FLAG:
          return readJson(Buffer.from(unescape(bytes)))
        case BINARY:
          return Buffer.from(unescape(bytes), 'latin1')
        case NUMERIC:
          return readNumber(bytes.toString())
        default:
          throw unknownFlags(clientFlags, 'memcached')
      }
    },
  }
}

function strictJson(value: unknown): string {
  return writeJson(value, CLIENT)
}

function escape(text: string): string {
  return text.replaceAll(/[\r\n]/g, '\\$&')
}

function unescape(bytes: Buffer): string {
  return bytes.toString().replaceAll(/\\([\r\n])/g, '$1')
}

/**
 * Returns the codec of memjs's values, which are bytes. Strings are written as UTF-8, and everything is read as a
 * Buffer, with any flags.
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
