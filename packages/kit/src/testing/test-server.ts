import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import type { ServerStream } from 'memcache-ts-client'
import type { Clock } from 'memcache-ts-protocol'
import { MemcachedServer } from 'memcache-ts-server'

/** A connection to the server of a test, of which the server's side can be held up. */
interface Link {
  readonly end: () => void
  readonly flow: () => void
}

/** A memcached of a test's own, in its process, with faults to order. */
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

  /** The server itself: its statistics, for instance. It is another one after `stop` and `start`. */
  get memcached(): MemcachedServer {
    return this.#server
  }

  /** How caches reach it, for `memcache({ servers })`: a second one is what another process would be. */
  readonly servers: readonly ServerStream[] = [{ name: 'test', connect: () => this.#connect() }]

  /** It hangs: connections stay, what is asked is not answered until `resume`. */
  async pause(): Promise<void> {
    this.#isPaused = true
  }

  /** It goes on, with what was asked meanwhile. */
  async resume(): Promise<void> {
    this.#isPaused = false
    for (const link of this.#links) link.flow()
  }

  /** It is gone: connections end, new ones are refused, and what it had is forgotten. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.disconnect()
    await this.#server.close()
  }

  /** It is there again, empty. */
  async start(): Promise<void> {
    if (!this.#isStopped) return
    this.#server = new MemcachedServer({ clock: this.#clock })
    this.#isStopped = false
  }

  /** All connections are cut; new ones are taken, and nothing is forgotten. */
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
        // A stream in memory tells its other end of an end, but not of being destroyed.
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
