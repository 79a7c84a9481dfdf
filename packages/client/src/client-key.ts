import { types } from 'node:util'

/** A key as it goes over the wire: text, or bytes that text could not hold. */
export type WireKey = string | Buffer

/** Whether a key is bytes, rather than text or parts. Asks no property of the key, which may be anything, and never throws. */
export function isBytes(key: unknown): key is Uint8Array {
  return typeof key === 'object' && types.isUint8Array(key)
}
