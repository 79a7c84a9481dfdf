import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import type { MemcachedServer } from '../src/memcached-server.ts'

/**
 * A raw connection to a server in this process, over an in-memory stream: `send` bytes, see what comes back.
 * Nothing waits for time: the event loop is turned until all that was sent has been answered.
 */
export class Exchange {
  closed = false
  readonly #stream: Duplex
  #received: Buffer[] = []

  constructor(server: MemcachedServer) {
    const [ours, theirs] = duplexPair()
    this.#stream = ours
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

  /** Ends the connection, as a client does that goes away. */
  end(): void {
    this.#stream.end()
  }
}

/** Turns the event loop often enough for in-memory streams to hand on all they hold. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}
