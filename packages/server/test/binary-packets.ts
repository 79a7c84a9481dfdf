/** A request of the binary protocol; `lengths` takes the place of the right ones, for malformed requests. */
export function packet(
  opcode: number,
  {
    extras = Buffer.alloc(0),
    key = '',
    value = '',
    opaque = 7,
    cas = 0n,
    lengths = {} as { key?: number; body?: number },
  } = {},
): Buffer {
  const header = Buffer.alloc(24)
  header[0] = 0x80
  header[1] = opcode
  header.writeUInt16BE(lengths.key ?? key.length, 2)
  header[4] = extras.length
  header.writeUInt32BE(lengths.body ?? extras.length + key.length + value.length, 8)
  header.writeUInt32BE(opaque, 12)
  header.writeBigUInt64BE(cas, 16)
  return Buffer.concat([header, extras, Buffer.from(key, 'latin1'), Buffer.from(value, 'latin1')])
}

/** One packet of a reply. */
export interface Response {
  opcode: number
  status: number
  opaque: number
  cas: bigint
  extras: string
  key: string
  value: string
}

/** The packets of a reply (latin1). */
export function responses(text: string): Response[] {
  const bytes = Buffer.from(text, 'latin1')
  const found: Response[] = []
  for (let at = 0; at < bytes.length;) {
    if (bytes[at] !== 0x81)
      throw new Error(`no response of the binary protocol at ${at}: ${JSON.stringify(text.slice(at, at + 100))}`)
    const [keyLength, extrasLength, bodyLength] = [
      bytes.readUInt16BE(at + 2),
      bytes[at + 4]!,
      bytes.readUInt32BE(at + 8),
    ]
    const keyStart = at + 24 + extrasLength
    found.push({
      opcode: bytes[at + 1]!,
      status: bytes.readUInt16BE(at + 6),
      opaque: bytes.readUInt32BE(at + 12),
      cas: bytes.readBigUInt64BE(at + 16),
      extras: bytes.toString('latin1', at + 24, keyStart),
      key: bytes.toString('latin1', keyStart, keyStart + keyLength),
      value: bytes.toString('latin1', keyStart + keyLength, at + 24 + bodyLength),
    })
    at += 24 + bodyLength
  }
  return found
}
