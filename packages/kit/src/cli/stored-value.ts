import type { ValueCodec } from 'memcache-ts-client'
import { KitCodec, LEASE_STUB, valueOf } from '../engine/values/kit-codec.ts'

/** A value in another client's format, which neither the kit nor the client has written. */
export class ForeignValue {
  readonly bytes: Buffer
  readonly clientFlags: number

  constructor(bytes: Buffer, clientFlags: number) {
    this.bytes = bytes
    this.clientFlags = clientFlags
  }
}

/**
 * Returns a codec that reads values of the kit and the client, and the bytes of other values. It writes strings and
 * JSON.
 */
export function anyValueCodec(): ValueCodec {
  const kit = new KitCodec(undefined, '')
  return {
    encode: (value) => kit.encode(value),
    decode(bytes, clientFlags) {
      try {
        const stored = kit.decode(bytes, clientFlags)
        return stored === LEASE_STUB ? Buffer.alloc(0) : valueOf(stored)
      } catch {
        return new ForeignValue(bytes, clientFlags)
      }
    },
  }
}
