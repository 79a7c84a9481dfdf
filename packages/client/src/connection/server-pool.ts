import type { MemcacheError } from 'memcache-ts-protocol'
import type { WireKey } from '../operations/operation.ts'
import type { ServerAddress } from '../server-address.ts'
import { Connection } from './connection.ts'
import type { ConnectionOptions } from './connection.ts'

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
    for (const connection of this.#connections) if (connection.isDown) return true
    return false
  }

  /** The connection for a key. */
  for(key: WireKey): Connection {
    const connections = this.#connections
    if (connections.length === 1) return connections[0]!
    for (const connection of connections) if (connection.isDown) return connection
    return connections[spread(key) % connections.length]!
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()))
  }
}

/** A number that differs for most keys, from few of their characters: it only spreads keys over a handful of connections. */
function spread(key: WireKey): number {
  const { length } = key
  if (length === 0) return 0
  if (typeof key !== 'string') return length + key[length - 1]!
  return length + key.charCodeAt(length - 1) * 31 + key.charCodeAt(length >> 1) * 7
}
