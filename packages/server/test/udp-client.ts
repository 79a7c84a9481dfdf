import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { once } from 'node:events'

/** The datagrams of the response to one request, in the order of the sequence numbers. */
export interface UdpReply {
  readonly text: string
  readonly datagrams: number
  /** Bytes of all datagrams, with their headers. */
  readonly bytes: number
}

/** A UDP client that numbers its requests, and puts replies together again. */
export class UdpClient implements AsyncDisposable {
  readonly #socket: Socket
  readonly #port: number
  readonly #host: string
  #requestId = 160
  readonly #received = new Map<number, Map<number, Buffer>>()
  readonly #waiting = new Map<number, (reply: UdpReply) => void>()
  /** The number of received datagrams, for any request. */
  datagrams = 0

  private constructor(socket: Socket, port: number, host: string) {
    this.#socket = socket
    this.#port = port
    this.#host = host
    socket.on('message', (datagram) => this.#receive(datagram))
  }

  static async open(port: number, host = '127.0.0.1'): Promise<UdpClient> {
    const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 4 * 1024 * 1024 })
    const listening = once(socket, 'listening')
    socket.bind(0, host)
    await listening
    return new UdpClient(socket, port, host)
  }

  /** Sends a request (a string is latin1); resolves with its reply when that is complete. */
  request(payload: string | Buffer, header?: { sequence?: number; total?: number }): Promise<UdpReply> {
    const id = this.#requestId++ & 0xffff
    const replied = new Promise<UdpReply>((resolve) => this.#waiting.set(id, resolve))
    this.send(frame(id, payload, header))
    return replied
  }

  /** Sends any bytes. */
  send(datagram: Buffer): void {
    this.#socket.send(datagram, this.#port, this.#host)
  }

  /**
   * Sends what is not to be answered, and then a request that is: when that one's reply is here, an earlier one would
   * be too. Returns how many datagrams came before it.
   */
  async unanswered(...datagrams: readonly Buffer[]): Promise<number> {
    const before = this.datagrams
    for (const datagram of datagrams) this.send(datagram)
    await this.request('mn\r\n')
    return this.datagrams - before - 1
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#socket, 'close')
    this.#socket.close()
    await closed
  }

  #receive(datagram: Buffer): void {
    this.datagrams++
    const [id, sequence, total] = [datagram.readUInt16BE(0), datagram.readUInt16BE(2), datagram.readUInt16BE(4)]
    const parts = this.#received.get(id) ?? new Map<number, Buffer>()
    this.#received.set(id, parts)
    if (datagram.readUInt16BE(6) !== 0 || parts.has(sequence) || sequence >= total) throw new Error('a bad frame')
    parts.set(sequence, datagram)
    if (parts.size < total) return
    this.#received.delete(id)
    const whole = [...parts].toSorted(([one], [other]) => one - other).map(([, part]) => part)
    const text = Buffer.concat(whole.map((part) => part.subarray(8))).toString('latin1')
    const bytes = whole.reduce((sum, { length }) => sum + length, 0)
    this.#waiting.get(id)?.({ text, datagrams: total, bytes })
    this.#waiting.delete(id)
  }
}

/** A datagram of a request. */
export function frame(id: number, payload: string | Buffer, { sequence = 0, total = 1 } = {}): Buffer {
  const header = Buffer.alloc(8)
  header.writeUInt16BE(id, 0)
  header.writeUInt16BE(sequence, 2)
  header.writeUInt16BE(total, 4)
  return Buffer.concat([header, typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload])
}
