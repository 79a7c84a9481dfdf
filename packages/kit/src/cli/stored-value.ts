import type { ValueCodec } from 'memcache-ts-client'
import { KitCodec, LEASE_STUB, valueOf } from '../engine/values/kit-codec.ts'

/** Stored bytes that neither the kit nor the client has written: another client's format. */
export class ForeignValue {
  readonly bytes: Buffer
  readonly clientFlags: number

  constructor(bytes: Buffer, clientFlags: number) {
    this.bytes = bytes
    this.clientFlags = clientFlags
  }
}

/** Reads everything: values of the kit and the client, and of others their bytes. Writes text and JSON. */
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
