import type { MemcacheError } from 'memcache-ts-protocol'
import type { WireKey } from '../client-key.ts'
import type { ServerAddress } from '../server-address.ts'
import { Connection } from './connection.ts'
import type { ConnectionOptions } from './connection-contract.ts'

/** Where a connection was silent for a whole timeout, the others have this part of one to show that theirs are not dead. */
const PROBE_SHARE = 0.25

/** What happens to a server, for the client's events. */
export interface PoolObserver {
  connected(server: string): void
  disconnected(server: string, error: MemcacheError | undefined): void
  retrying(server: string, delayMs: number): void
  ejected(server: string, error: MemcacheError): void
  rejoined(server: string): void
}

/**
 * The connections to one server. A key always takes the same one, so that operations on it keep their order; while that one is
 * down, all of its keys take another one, and they return when what they asked there is done. The server is given up when none
 * of the connections works: what happens to one says nothing of the others as long as those are open.
 */
export class ServerPool {
  readonly address: ServerAddress
  readonly #options: ConnectionOptions
  readonly #observer: PoolObserver
  readonly #connections: Connection[]
  /** Which connection serves the keys of one that is down, by its place. */
  readonly #detours: (Connection | undefined)[]
  /** Connections that were given up and end after the operations with longer limits. */
  readonly #retired = new Set<Promise<void>>()
  #ejected = false
  #closed = false

  constructor(address: ServerAddress, size: number, options: ConnectionOptions, observer: PoolObserver) {
    this.address = address
    this.#options = options
    this.#observer = observer
    this.#connections = []
    this.#detours = Array.from({ length: size })
    for (let place = 0; place < size; place++) this.#connections.push(this.#connect(place))
  }

  /** Whether the server is away. A connection that was turned away says nothing of those that are not open. */
  get isDown(): boolean {
    let down = 0
    let isAway = false
    for (const connection of this.#connections) {
      if (connection.isUsable) return false
      if (!connection.isDown) continue
      down++
      if (!connection.isRefused) isAway = true
    }
    return isAway || down === this.#connections.length
  }

  /** How many connections there are. */
  get size(): number {
    return this.#connections.length
  }

  /**
   * The connection by which any keys may be read in one request without overtaking a write: the only one on which a write is under
   * way or, where there is none, that of the first key. `undefined` while writes are under way on more than one.
   */
  forAll(first: WireKey): Connection | undefined {
    let writing: Connection | undefined
    for (const connection of this.#connections) {
      if (!connection.isWriting) continue
      if (writing !== undefined) return undefined
      writing = connection
    }
    return writing ?? this.for(first)
  }

  /** The connection for a key. */
  for(key: WireKey): Connection {
    const connections = this.#connections
    const place = connections.length === 1 ? 0 : spread(key) % connections.length
    const own = connections[place]!
    return own.isDown ? (this.#detour(place) ?? own) : own
  }

  /** Lets waiting operations finish on all connections. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#retired, ...this.#connections.map((connection) => connection.close())])
  }

  #connect(place: number, downBy?: MemcacheError): Connection {
    const { address } = this
    const observer = this.#observer
    const connection: Connection = new Connection(
      address,
      this.#options,
      {
        connected: () => {
          observer.connected(address.name)
          this.#checkRejoined()
        },
        disconnected: (error) => {
          observer.disconnected(address.name, error)
          this.#checkEjected(error)
        },
        retrying: (delayMs) => observer.retrying(address.name, delayMs),
        silent: () => this.#probeOthers(place),
        retired: (reason, isSilent) => this.#replace(place, reason, isSilent),
        successor: () => this.#detour(place),
        returned: () => {
          const detour = this.#detours[place]
          this.#detours[place] = undefined
          return detour?.whenDone()
        },
      },
      downBy,
    )
    return connection
  }

  /** The connection that serves the keys of one that is down: always the same until that is down, too. */
  #detour(place: number): Connection | undefined {
    const taken = this.#detours[place]
    if (taken?.isUsable === true) return taken
    const others = this.#connections.filter((_, other) => other !== place)
    const found =
      others.find((connection) => connection.isUsable) ??
      // One that is closed is tried if the server may only have turned this one away.
      (this.#connections[place]?.isRefused === true ? others.find((connection) => !connection.isDown) : undefined)
    this.#detours[place] = found
    return found
  }

  #replace(place: number, reason: MemcacheError, isSilent: boolean): void {
    const ending = this.#connections[place]!.close()
    this.#retired.add(ending)
    void ending.finally(() => this.#retired.delete(ending))
    if (this.#closed) return
    this.#connections[place] = this.#connect(place, isSilent ? reason : undefined)
    this.#observer.disconnected(this.address.name, reason)
    this.#checkEjected(reason)
    if (isSilent) this.#probeOthers(place)
  }

  #probeOthers(place: number): void {
    const timeoutMs = Math.max(1, this.#options.timeoutMs * PROBE_SHARE)
    for (const [other, connection] of this.#connections.entries()) {
      if (other !== place) void connection.probe(timeoutMs)
    }
  }

  #checkEjected(error: MemcacheError | undefined): void {
    if (error === undefined || this.#ejected || !this.isDown) return
    this.#ejected = true
    this.#observer.ejected(this.address.name, error)
  }

  #checkRejoined(): void {
    if (!this.#ejected || this.isDown) return
    this.#ejected = false
    this.#observer.rejoined(this.address.name)
  }
}

/** A number that differs for most keys, from few of their characters: it only spreads keys over a handful of connections. */
function spread(key: WireKey): number {
  const { length } = key
  if (length === 0) return 0
  if (typeof key !== 'string') return length + key[length - 1]!
  return length + key.charCodeAt(length - 1) * 31 + key.charCodeAt(length >> 1) * 7
}
