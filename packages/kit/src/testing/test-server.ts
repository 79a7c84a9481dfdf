import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import type { ServerStream } from 'memcache-ts-client'
import type { Clock } from 'memcache-ts-protocol'
import { MemcachedServer } from 'memcache-ts-server'

/** A connection to the server of a test, whose server side can be paused. */
interface Link {
  readonly end: () => void
  readonly flow: () => void
}

/** The memcached of one test, in its process; its methods simulate faults. */
export class TestServer {
  readonly #clock: Clock
  readonly #links = new Set<Link>()
  #server: MemcachedServer
  #isPaused = false
  #isStopped = false

  constructor(clock: Clock) {
    this.#clock = clock
    this.#server = new MemcachedServer({ clock })
  }

  /** The server itself, for example for its statistics. `start` creates a new one after `stop`. */
  get memcached(): MemcachedServer {
    return this.#server
  }

  /** The connection for `memcache({ servers })`. A second cache on it behaves like one in another process. */
  readonly servers: readonly ServerStream[] = [{ name: 'test', connect: () => this.#connect() }]

  /** Makes the server hang: connections stay open, and requests get no response until `resume`. */
  async pause(): Promise<void> {
    this.#isPaused = true
  }

  /** Lets the server respond again, beginning with the requests made meanwhile. */
  async resume(): Promise<void> {
    this.#isPaused = false
    for (const link of this.#links) link.flow()
  }

  /** Stops the server: connections end, new connections are refused, and its data is lost. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.disconnect()
    await this.#server.close()
  }

  /** Starts the server again after `stop`, without data. */
  async start(): Promise<void> {
    if (!this.#isStopped) return
    this.#server = new MemcachedServer({ clock: this.#clock })
    this.#isStopped = false
  }

  /** Cuts all connections; new connections are accepted, and no data is lost. */
  disconnect(): void {
    for (const link of this.#links) link.end()
    this.#links.clear()
  }

  #connect(): Duplex {
    const [client, near] = duplexPair()
    if (this.#isStopped) {
      process.nextTick(() => client.destroy(new Error('connect ECONNREFUSED: the test stopped its server')))
      return client
    }
    const [far, served] = duplexPair()
    const held: Buffer[] = []
    const flow = (): void => {
      for (const chunk of held.splice(0)) if (far.writable) far.write(chunk)
    }
    near.on('data', (chunk: Buffer) => {
      held.push(Buffer.from(chunk))
      if (!this.#isPaused) flow()
    })
    far.on('data', (chunk: Buffer) => {
      if (near.writable) near.write(Buffer.from(chunk))
    })
    const link: Link = {
      flow,
      end: () => {
        // A stream in memory forwards an end to its other side, but not a destroy.
        far.end()
        near.destroy()
        client.destroy(new Error('read ECONNRESET: the test cut the connection'))
      },
    }
    for (const stream of [near, far]) stream.on('error', () => {})
    near.on('end', () => {
      this.#links.delete(link)
      near.end()
      far.end()
    })
    this.#links.add(link)
    this.#server.handle(served)
    return client
  }
}
