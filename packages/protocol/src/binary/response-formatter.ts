import type { Uint64 } from '../uint64.ts'
import { BINARY_HEADER_BYTES } from './request-formatter.ts'

const RESPONSE_MAGIC = 0x81

/** The fields of a response's header besides its lengths. */
export interface BinaryResponse {
  readonly opcode: number
  readonly status: number
  /** The opaque of the request. */
  readonly opaque: number
  /** The cas unique; `undefined` for none. */
  readonly cas: Uint64 | undefined
}

/** Writes a response's header; returns the position after it (protocol-binary, "Response header"). */
export function writeBinaryResponseHeader(
  out: Buffer,
  at: number,
  { opcode, status, opaque, cas }: BinaryResponse,
  lengths: { readonly extras: number; readonly key: number; readonly value: number },
): number {
  out[at] = RESPONSE_MAGIC
  out[at + 1] = opcode
  out.writeUInt16BE(lengths.key, at + 2)
  out[at + 4] = lengths.extras
  out[at + 5] = 0
  out.writeUInt16BE(status, at + 6)
  out.writeUInt32BE(lengths.extras + lengths.key + lengths.value, at + 8)
  out.writeUInt32BE(opaque, at + 12)
  out.writeUInt32BE(cas?.high ?? 0, at + 16)
  out.writeUInt32BE(cas?.low ?? 0, at + 20)
  return at + BINARY_HEADER_BYTES
}
