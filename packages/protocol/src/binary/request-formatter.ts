import type { Uint64 } from '../uint64.ts'

/** The length of every packet's header. */
export const BINARY_HEADER_BYTES = 24
const REQUEST_MAGIC = 0x80

/** Writes a request's header without its body; returns the position after it (protocol-binary, "Request header"). */
export function writeBinaryHeader(
  out: Buffer,
  at: number,
  opcode: number,
  lengths: { readonly extras: number; readonly key: number; readonly value: number },
  opaque: number,
  cas: Uint64 | undefined,
): number {
  out[at] = REQUEST_MAGIC
  out[at + 1] = opcode
  out.writeUInt16BE(lengths.key, at + 2)
  out[at + 4] = lengths.extras
  out[at + 5] = 0
  out.writeUInt16BE(0, at + 6)
  out.writeUInt32BE(lengths.extras + lengths.key + lengths.value, at + 8)
  out.writeUInt32BE(opaque, at + 12)
  out.writeUInt32BE(cas?.high ?? 0, at + 16)
  out.writeUInt32BE(cas?.low ?? 0, at + 20)
  return at + BINARY_HEADER_BYTES
}
