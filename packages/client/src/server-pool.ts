import { hashKey } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import { Connection } from './connection.ts'
import type { ConnectionOptions } from './connection.ts'
import type { ServerAddress } from './server-address.ts'

/** What happens to a server, for the client's events. */
export interface PoolObserver {
  connected(server: string): void
  disconnected(server: string, error: MemcacheError | undefined): void
  retrying(server: string, delayMs: number): void
  ejected(server: string, error: MemcacheError): void
  rejoined(server: string): void
}

/** The connections to one server. A key always takes the same one, so that operations on it keep their order. */
export class ServerPool {
  readonly address: ServerAddress
  readonly #connections: readonly Connection[]
  #ejected = false

  constructor(address: ServerAddress, size: number, options: ConnectionOptions, observer: PoolObserver) {
    this.address = address
    this.#connections = Array.from(
      { length: size },
      (): Connection =>
        new Connection(address, options, {
          connected: () => {
            observer.connected(address.name)
            if (this.#ejected && !this.isDown) {
              this.#ejected = false
              observer.rejoined(address.name)
            }
          },
          disconnected: (error) => {
            observer.disconnected(address.name, error)
            if (error !== undefined && !this.#ejected && this.isDown) {
              this.#ejected = true
              observer.ejected(address.name, error)
            }
          },
          retrying: (delayMs) => observer.retrying(address.name, delayMs),
        }),
    )
  }

  /** Whether the server is away: one connection that found it so speaks for all. */
  get isDown(): boolean {
    return this.#connections.some((connection) => connection.isDown)
  }

  /** The connection for a key. */
  for(key: string): Connection {
    const connections = this.#connections
    if (connections.length === 1) return connections[0]!
    const down = connections.find((connection) => connection.isDown)
    return down ?? connections[hashOf(key) % connections.length]!
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()))
  }
}

const scratch = Buffer.alloc(1024)

function hashOf(key: string): number {
  return hashKey(scratch, 0, scratch.write(key, 'latin1')) >>> 0
}
