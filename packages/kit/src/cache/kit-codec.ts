import { typedCodec } from 'memcache-ts-client'
import { ClientFlags } from 'memcache-ts-protocol'

/** What a lease looks like that nobody has filled, to those who read without knowing of leases. */
export const LEASE_STUB: unique symbol = Symbol('lease stub')

const typed = typedCodec({ bytesFlags: ClientFlags.kitBytes })

/**
 * The kit's values: as the client's `typed`, but bytes have flags of their own, since an empty item with flags 0 is a
 * lease's stub.
 */
export const kitCodec = {
  ...typed,
  decode: (bytes: Buffer, clientFlags: number): unknown => kitCodec.read(bytes, 0, bytes.length, clientFlags, true),
  read: (buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): unknown =>
    clientFlags === ClientFlags.bytes && start === end
      ? LEASE_STUB
      : typed.read(buffer, start, end, clientFlags, owned),
}
