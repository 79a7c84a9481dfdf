import { createSocket } from 'node:dgram'
import type { RemoteInfo, Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { MemcacheConnectionError } from 'memcache-ts-protocol'
import type { ConnectionOwner } from '../session.ts'
import { UdpRequest } from './udp-request.ts'

/** Bytes of the header before every datagram (protocol.txt, "UDP protocol"). */
const UDP_HEADER_BYTES = 8
/** The largest datagram of a response, with its header: it fits an Ethernet frame. */
const MAX_DATAGRAM_BYTES = 1400
const PAYLOAD_BYTES = MAX_DATAGRAM_BYTES - UDP_HEADER_BYTES
const BINARY_REQUEST_MAGIC = 0x80
const LOWER_A = 97
const LOWER_Z = 122

/**
 * Returns whether a datagram carries a whole request. A request of several datagrams is ignored, as in memcached, and
 * so is a datagram that does not begin like a command. No response of this server or of another service begins like a
 * command, so that a forged address cannot make two servers respond to each other endlessly.
 */
function isRequest(datagram: Buffer): boolean {
  if (datagram.length <= UDP_HEADER_BYTES || datagram.readUInt16BE(4) !== 1) return false
  const first = datagram[UDP_HEADER_BYTES]!
  return first === BINARY_REQUEST_MAGIC || (first >= LOWER_A && first <= LOWER_Z)
}

/** Returns the number of datagrams of a response. */
function datagramCount(replyBytes: number): number {
  return Math.ceil(replyBytes / PAYLOAD_BYTES)
}

/** Returns the datagram of a response with the number `sequence`, which counts from 0. */
function frameReply(requestId: number, reply: Buffer, sequence: number): Buffer {
  const payload = reply.subarray(sequence * PAYLOAD_BYTES, (sequence + 1) * PAYLOAD_BYTES)
  const datagram = Buffer.allocUnsafe(UDP_HEADER_BYTES + payload.length)
  datagram.writeUInt16BE(requestId, 0)
  datagram.writeUInt16BE(sequence, 2)
  datagram.writeUInt16BE(datagramCount(reply.length), 4)
  datagram.writeUInt16BE(0, 6)
  payload.copy(datagram, UDP_HEADER_BYTES)
  return datagram
}

/** The longest response to one datagram; a request for more is refused. */
const MAX_REPLY_BYTES = 8 * 1024 * 1024
/** The number of datagrams of one response that are sent in one turn: as many as a Node client reads at once. */
const DATAGRAMS_PER_TURN = 32
/** The maximum number of bytes of responses that wait to be sent; beyond it, datagrams are dropped without being read. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024
/** The maximum number of bytes that the kernel has not yet taken; beyond it, the rest of a response is dropped. */
const MAX_QUEUED_BYTES = 4 * 1024 * 1024
const LOOPBACK = /^(?:127\.|::1$|::ffff:127\.)/

/**
 * A UDP socket that serves requests (protocol.txt, "UDP protocol"): one datagram, one request, one reply of as many
 * datagrams as it takes.
 *
 * The sender of a datagram can be forged, and a server that responds with more bytes than it received can be used to
 * flood a third party. An address other than loopback is therefore never sent more bytes than its datagram had, or than
 * `udpReplyMaxBytes` allows. A longer response is replaced by an error if that is short enough, and otherwise not
 * sent.
 */
export class UdpListener {
  /** Its number in `stats conns`. */
  readonly id: number
  readonly host: string
  readonly port: number
  readonly family: string
  /** The second of its last request. */
  lastCommandAt: number
  /** The sender of the current request; `undefined` between two requests. */
  peer: string | undefined
  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  #waitingBytes = 0
  #isClosed = false

  private constructor(id: number, socket: Socket, owner: ConnectionOwner) {
    const { address, port, family } = socket.address()
    this.id = id
    this.host = address
    this.port = port
    this.family = family
    this.#socket = socket
    this.#owner = owner
    this.lastCommandAt = owner.context.store.now
    socket.on('message', (datagram, from) => this.#receive(datagram, from))
  }

  /**
   * Starts to listen on an address.
   *
   * @throws MemcacheConnectionError if it cannot: the port is in use, or the process has no permission.
   */
  static async open(id: number, where: { host: string; port: number }, owner: ConnectionOwner): Promise<UdpListener> {
    const name = `UDP ${where.host}:${where.port}`
    let socket: Socket | undefined
    try {
      const { address, family } = await lookup(where.host)
      socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4', lookup: lookUpNothing })
      // It may be listening already when `bind` returns, since no name is looked up.
      const listening = once(socket, 'listening')
      socket.bind({ address, port: where.port, exclusive: true })
      await listening
    } catch (cause) {
      socket?.close()
      const inUse = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE'
      throw new MemcacheConnectionError(`cannot listen on ${name}: ${inUse ? 'the port is in use' : String(cause)}`, {
        server: name,
        retryable: false,
        cause,
      })
    }
    // A datagram that cannot be sent is lost, as any datagram may be.
    socket.on('error', (error) => {
      if (owner.verbosity > 0) owner.log(`${name}: ${error.message}`)
    })
    return new UdpListener(id, socket, owner)
  }

  /** The address in the form of `stats conns`. */
  get address(): string {
    return addressText(this.host, this.port)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#socket.close()
  }

  #receive(datagram: Buffer, from: RemoteInfo): void {
    const { context } = this.#owner
    context.counters.bytesRead += datagram.length
    if (this.#waitingBytes > MAX_WAITING_BYTES || !isRequest(datagram) || from.port === 0) return
    this.#owner.tick()
    this.lastCommandAt = context.store.now
    this.peer = addressText(from.address, from.port)
    try {
      const reply = this.#reply(datagram, from.address)
      if (reply.length > 0) this.#send(datagram.readUInt16BE(0), reply, from)
    } catch (error) {
      this.#owner.failed(error, this.peer)
    } finally {
      this.peer = undefined
    }
  }

  #reply(datagram: Buffer, from: string): Buffer {
    const payload = datagram.subarray(UDP_HEADER_BYTES)
    const isTrusted = isVerified(from)
    const allowed = isTrusted ? Infinity : Math.max(datagram.length, this.#owner.options.udpReplyMaxBytes)
    const request = new UdpRequest(this.#owner, {
      id: this.id,
      payload,
      maxReplyBytes: Math.min(allowed, MAX_REPLY_BYTES),
    })
    const reply = request.run()
    if (bytesOnTheWire(reply) <= allowed) return reply
    const refusal = request.refusal()
    return bytesOnTheWire(refusal) <= allowed ? refusal : Buffer.alloc(0)
  }

  #send(requestId: number, reply: Buffer, { address, port }: RemoteInfo): void {
    const count = datagramCount(reply.length)
    let next = 0
    const sendSome = (): void => {
      const { replies } = this.#owner.context
      for (let left = DATAGRAMS_PER_TURN; left > 0 && next < count && !this.#isClosed; left--) {
        if (this.#socket.getSendQueueSize() > MAX_QUEUED_BYTES) next = count
        else {
          const datagram = frameReply(requestId, reply, next++)
          replies.bytesWritten += datagram.length
          this.#socket.send(datagram, port, address)
        }
      }
      if (next < count && !this.#isClosed) this.#owner.turns.wait(sendSome)
      else this.#waitingBytes -= reply.length
    }
    this.#waitingBytes += reply.length
    sendSome()
  }
}

/**
 * Returns whether the sender's address cannot be forged: a loopback address, since kernels drop packets of other
 * machines with such an address.
 */
export function isVerified(address: string): boolean {
  return LOOPBACK.test(address)
}

function bytesOnTheWire(reply: Buffer): number {
  return reply.length + datagramCount(reply.length) * UDP_HEADER_BYTES
}

function addressText(host: string, port: number): string {
  return host.includes(':') ? `udp6:[${host}]:${port}` : `udp:${host}:${port}`
}

/** Responses go to the sender's numeric address, so nothing is looked up. */
function lookUpNothing(
  address: string,
  _options: unknown,
  done: (error: null, address: string, family: number) => void,
): void {
  done(null, address, address.includes(':') ? 6 : 4)
}
