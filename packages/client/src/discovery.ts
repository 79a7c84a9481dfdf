import { LongTimer, MemcacheProtocolError, MemcacheServerError, MemcacheUnsupportedError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import { asMemcacheError } from './errors.ts'
import { Backoff } from './connection/connect-attempt.ts'
import type { ConnectionOptions } from './connection/connection-contract.ts'
import { ServerPool } from './dispatcher.ts'
import type { PoolObserver } from './dispatcher.ts'
import { LinesOperation } from './operations/lines-operation.ts'
import type { LinesRequest } from './operations/lines-operation.ts'
import type { ServerAddress } from './server-address.ts'

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

/** The request to a configuration endpoint: ElastiCache from 1.4.14 on, and Memorystore. */
const CONFIGURATION_REQUEST: LinesRequest = { text: 'config get cluster\r\n', untilEnd: true }
/** The request to an older ElastiCache, which has the configuration as an item. */
const OLD_CONFIGURATION_REQUEST: LinesRequest = { text: 'get AmazonElastiCache:cluster\r\n', untilEnd: true }

/** The length of the excerpt of an invalid response in an error. */
const EXCERPT_LENGTH = 200

/** A cluster as its configuration endpoint describes it. */
export interface ClusterConfiguration {
  /** The line of nodes as it was sent; it shows changes, since a node's address can change without the version. */
  readonly text: string
  readonly servers: readonly ServerAddress[]
}

/**
 * Reads the response of a configuration endpoint: a head, the version, and the nodes as `host|ip|port`; the ip may be
 * empty.
 *
 * @throws MemcacheProtocolError if the response is not a configuration.
 */
function parseConfiguration(lines: readonly string[], endpoint: string): ClusterConfiguration {
  const [head = '', version = '', text = ''] = lines
  const nodes = text.split(' ').filter((node) => node !== '')
  if (
    !/^(CONFIG cluster|VALUE AmazonElastiCache:cluster) /.test(head) ||
    !/^\d+$/.test(version) ||
    nodes.length === 0
  ) {
    const answered = JSON.stringify(lines).slice(0, EXCERPT_LENGTH)
    throw new MemcacheProtocolError(`${endpoint} is no configuration endpoint: it answered ${answered}`)
  }
  const servers = nodes.map((node) => parseNode(node, endpoint))
  // A node that is listed twice is one server.
  return { text, servers: [...new Map(servers.map((server) => [`${server.name} ${server.ip}`, server])).values()] }
}

function parseNode(node: string, endpoint: string): ServerAddress {
  const [host = '', ip = '', port = ''] = node.split('|')
  const name = host === '' ? ip : host
  const isPort = /^\d+$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535
  if (name === '' || !isPort) {
    throw new MemcacheProtocolError(`${endpoint} told of a node that cannot be: ${JSON.stringify(node)}`)
  }
  return { name: `${name}:${Number(port)}`, host: name, port: Number(port), weight: 1, ...(ip === '' ? {} : { ip }) }
}
