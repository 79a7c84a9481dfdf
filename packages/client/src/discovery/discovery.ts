import { LongTimer, MemcacheServerError, MemcacheUnsupportedError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import { asMemcacheError } from '../errors.ts'
import { Backoff } from '../connection/retries.ts'
import type { ConnectionOptions } from '../connection/connection-contract.ts'
import { ServerPool } from '../dispatcher.ts'
import type { PoolObserver } from '../dispatcher.ts'
import { LinesOperation } from '../operations/lines-operation.ts'
import type { LinesRequest } from '../operations/lines-operation.ts'
import type { ServerAddress } from '../server-address.ts'
import { CONFIGURATION_REQUEST, OLD_CONFIGURATION_REQUEST, parseConfiguration } from './cluster-configuration.ts'
import type { ClusterConfiguration } from './cluster-configuration.ts'

const NOBODY: PoolObserver = { connected() {}, disconnected() {}, retrying() {}, ejected() {}, rejoined() {} }

/** The owner of a discovery, which is notified of its events. */
export interface DiscoveryObserver {
  /** A request for the servers was sent; operations may wait for the response. */
  requested(): void
  /** No endpoint has returned the servers; the next request follows later. */
  failed(error: MemcacheError): void
  /** The servers that are used from now on were found. */
  found(servers: readonly ServerAddress[]): void
}

/**
 * Requests the list of servers from configuration endpoints: immediately, then at intervals, and when a server goes
 * away. While no endpoint responds, the last list is used.
 */
export class Discovery {
  readonly #endpoints: readonly ServerPool[]
  readonly #timeoutMs: number
  readonly #intervalMs: number
  readonly #observer: DiscoveryObserver
  #text: string | undefined
  readonly #backoff = new Backoff()
  #isPending = false
  #closed = false
  #timer: LongTimer | undefined

  constructor(
    endpoints: readonly ServerAddress[],
    options: ConnectionOptions,
    intervalMs: number,
    observer: DiscoveryObserver,
  ) {
    this.#endpoints = endpoints.map((address) => new ServerPool(address, 1, options, NOBODY))
    this.#timeoutMs = options.connectTimeoutMs
    this.#intervalMs = intervalMs
    this.#observer = observer
  }

  /** Sends a request now, unless one is pending. */
  refresh(): void {
    if (this.#isPending || this.#closed) return
    this.#timer?.clear()
    this.#isPending = true
    this.#observer.requested()
    void this.#request().then(
      ({ text, servers }) => {
        this.#again(this.#intervalMs)
        this.#found(text, servers)
      },
      (error: unknown) => {
        this.#again(this.#backoff.nextMs())
        this.#observer.failed(asMemcacheError(error))
      },
    )
  }

  #again(delayMs: number): void {
    this.#isPending = false
    if (!this.#closed) this.#timer = new LongTimer(() => this.refresh(), delayMs).unref()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.clear()
    await Promise.all(this.#endpoints.map((endpoint) => endpoint.close()))
  }

  #found(text: string, servers: readonly ServerAddress[]): void {
    this.#backoff.reset()
    if (text === this.#text || this.#closed) return
    this.#text = text
    this.#observer.found(servers)
  }

  /** Returns the first endpoint's response; if it has none, the next endpoint's. */
  async #request(): Promise<ClusterConfiguration> {
    let reason: unknown
    for (const endpoint of this.#endpoints) {
      try {
        return parseConfiguration(await this.#lines(endpoint), endpoint.address.name)
      } catch (error) {
        reason = error
      }
    }
    throw reason
  }

  async #lines(endpoint: ServerPool): Promise<string[]> {
    try {
      return await this.#send(endpoint, CONFIGURATION_REQUEST)
    } catch (error) {
      if (!(error instanceof MemcacheUnsupportedError || error instanceof MemcacheServerError)) throw error
      return this.#send(endpoint, OLD_CONFIGURATION_REQUEST)
    }
  }

  #send(endpoint: ServerPool, request: LinesRequest): Promise<string[]> {
    return new Promise((resolve, reject) => {
      const connection = endpoint.for('')
      const refusal = connection.refusal()
      if (refusal !== undefined) throw refusal
      connection.send(new LinesOperation(request, undefined, resolve, reject), this.#timeoutMs)
    })
  }
}
