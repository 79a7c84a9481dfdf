import type { ValueCodec } from '../value-codec.ts'
import { readJson, unknownFlags } from './preset.ts'

const JSON_FLAG = 2
const BINARY = 4
const NUMERIC = 8

/**
 * Values as npm's `memcached` has them: strings, numbers, Buffers, and everything else as JSON. It puts a backslash before
 * line ends, and stores the bytes of a Buffer as the UTF-8 of their Latin-1 characters.
 */
export function npmMemcachedCodec(): ValueCodec {
  return {
    encode: (value) => {
      if (typeof value === 'string') return { bytes: escape(value), clientFlags: 0 }
      if (Buffer.isBuffer(value)) return { bytes: escape(value.toString('latin1')), clientFlags: BINARY }
      if (typeof value === 'number') return { bytes: String(value), clientFlags: NUMERIC }
      return { bytes: escape(JSON.stringify(value ?? null)), clientFlags: JSON_FLAG }
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
          return Number(bytes.toString())
        default:
          throw unknownFlags(clientFlags, 'memcached')
      }
    },
  }
}

function escape(text: string): string {
  return text.replaceAll(/[\r\n]/g, '\\$&')
}

function unescape(bytes: Buffer): string {
  return bytes.toString().replaceAll(/\\([\r\n])/g, '$1')
}
