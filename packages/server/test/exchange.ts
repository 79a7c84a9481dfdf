import type { Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { until } from 'memcache-ts-testing'
import type { MemcachedServer } from '../src/memcached-server.ts'

/** How long a reply may take until the test fails with what has come. */
export const GIVE_UP_MS = 120_000

/**
 * A raw connection to a server in this process, over an in-memory stream: `send` sends bytes and returns the response.
 * Nothing waits for time: the event loop is turned until all that was sent has been answered.
 */
export class Exchange {
  closed = false
  readonly #stream: Duplex
  #received: Buffer[] = []

  constructor(server: MemcachedServer) {
    const [ours, theirs] = duplexPair()
    this.#stream = ours
    // One end of a pair does not notice that the other one was destroyed.
    ours.once('close', () => theirs.destroy())
    ours.on('data', (chunk: Buffer) => this.#received.push(Buffer.from(chunk)))
    ours.on('end', () => (this.closed = true))
    server.handle(theirs)
  }

  /** Sends bytes (a string is latin1) and returns what came back for them, as latin1. */
  async send(bytes: string | Buffer): Promise<string> {
    this.#stream.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    await settle()
    const received = Buffer.concat(this.#received).toString('latin1')
    this.#received = []
    return received
  }

  /** Sends bytes cut at these places, in any order, and returns the whole response. */
  async sendInPieces(bytes: string | Buffer, cuts: readonly number[]): Promise<string> {
    const whole = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
    let received = ''
    let from = 0
    for (const to of [...cuts.toSorted((a, b) => a - b), whole.length]) {
      received += await this.send(whole.subarray(from, to))
      from = to
    }
    return received
  }

  /** Ends the connection, as a client does that has no further requests. */
  end(): void {
    this.#stream.end()
  }

  /** Ends the connection, as a client does that dies. */
  breakOff(): void {
    this.#stream.destroy()
  }
}

/** The same over a socket, whose other end is a server in this process too. */
export class SocketExchange {
  closed = false
  readonly #socket: Socket
  #received: Buffer[] = []
  /** Called with each chunk, and when the socket closes. */
  #onProgress: () => void = () => {}

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      this.#received.push(chunk)
      this.#onProgress()
    })
    socket.on('close', () => {
      this.closed = true
      this.#onProgress()
    })
  }

  /**
   * Sends bytes and returns what came back once that is complete, and once the loop has turned again for what is too
   * much. If no complete reply comes, returns what there is, before the test is cut off without a word.
   */
  async send(bytes: string, isComplete: (received: string) => boolean): Promise<string> {
    this.#socket.write(Buffer.from(bytes, 'latin1'))
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => resolve(), GIVE_UP_MS)
      this.#onProgress = () => {
        if (!this.closed && !isComplete(this.#text())) return
        clearTimeout(timer)
        resolve()
      }
      this.#onProgress()
    })
    await settle()
    const received = this.#text()
    this.#received = []
    return received
  }

  end(): void {
    this.#socket.destroy()
  }

  #text(): string {
    return Buffer.concat(this.#received).toString('latin1')
  }
}

/** Waits until a connection makes no more replies, since its client does not read. */
export async function untilHeldBack(server: MemcachedServer): Promise<void> {
  const operator = new Exchange(server)
  await until(async () => (await operator.send('stats conns\r\n')).includes('state conn_mwrite'))
  operator.end()
}

/** Turns the event loop often enough for in-memory streams to hand on all they hold. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}
