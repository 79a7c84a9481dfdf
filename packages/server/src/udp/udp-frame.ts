/** Bytes of the header before every datagram (protocol.txt, "UDP protocol"). */
export const UDP_HEADER_BYTES = 8
/** The largest datagram of a response, with its header: it fits an Ethernet frame. */
const MAX_DATAGRAM_BYTES = 1400
const PAYLOAD_BYTES = MAX_DATAGRAM_BYTES - UDP_HEADER_BYTES
const BINARY_REQUEST_MAGIC = 0x80
const LOWER_A = 97
const LOWER_Z = 122

/**
 * Whether a datagram carries a whole request. A request of several datagrams is ignored, as in memcached, and so is a
 * datagram that does not begin like a command. No response of this server or of another service begins like a command,
 * so that a forged address cannot make two servers respond to each other endlessly.
 */
export function isRequest(datagram: Buffer): boolean {
  if (datagram.length <= UDP_HEADER_BYTES || datagram.readUInt16BE(4) !== 1) return false
  const first = datagram[UDP_HEADER_BYTES]!
  return first === BINARY_REQUEST_MAGIC || (first >= LOWER_A && first <= LOWER_Z)
}

/** The number of datagrams of a response. */
export function datagramCount(replyBytes: number): number {
  return Math.ceil(replyBytes / PAYLOAD_BYTES)
}

/** The datagram of a response with the number `sequence`, which counts from 0. */
export function frameReply(requestId: number, reply: Buffer, sequence: number): Buffer {
  const payload = reply.subarray(sequence * PAYLOAD_BYTES, (sequence + 1) * PAYLOAD_BYTES)
  const datagram = Buffer.allocUnsafe(UDP_HEADER_BYTES + payload.length)
  datagram.writeUInt16BE(requestId, 0)
  datagram.writeUInt16BE(sequence, 2)
  datagram.writeUInt16BE(datagramCount(reply.length), 4)
  datagram.writeUInt16BE(0, 6)
  payload.copy(datagram, UDP_HEADER_BYTES)
  return datagram
}
