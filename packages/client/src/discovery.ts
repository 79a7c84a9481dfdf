import {
  LongTimer,
  MemcacheClosedError,
  MemcacheProtocolError,
  MemcacheServerError,
  MemcacheTimeoutError,
  MemcacheUnsupportedError,
} from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import { asMemcacheError } from './errors.ts'
import { Backoff } from './connection/connect-attempt.ts'
import type { ConnectionOptions } from './connection/connection-contract.ts'
import { redactorOf } from './connection/credentials.ts'
import { ServerPool } from './dispatcher.ts'
import type { PoolObserver } from './dispatcher.ts'
import { LinesOperation } from './operations/lines-operation.ts'
import type { LinesRequest } from './operations/lines-operation.ts'
import type { ServerAddress } from './server-address.ts'

const NO_OBSERVER: PoolObserver = { connected() {}, disconnected() {}, retrying() {}, ejected() {}, rejoined() {} }

interface DiscoveryOptions extends ConnectionOptions {
  /** The configuration endpoints. */
  readonly servers: readonly ServerAddress[]
  readonly discoveryIntervalMs: number
}

/** The owner of a discovery, which is notified of its events. */
export interface DiscoveryObserver {
  /** Called when a request for the servers was sent; operations may wait for the response. */
  requested(): void
  /** Called if no endpoint has returned the servers; the next request follows later. */
  failed(error: MemcacheError): void
  /** Called like `failed`, but only the first time since an endpoint responded, and not while the client closes. */
  lost(error: MemcacheError): void
  /** Called when the servers that are used from now on were found. */
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
  readonly #redact: (text: string) => string
  #isPending = false
  #isLost = false
  #operation: LinesOperation | undefined
  #closed = false
  #timer: LongTimer | undefined

  constructor(options: DiscoveryOptions, observer: DiscoveryObserver) {
    this.#endpoints = options.servers.map(
      (address) => new ServerPool(address, { ...options, poolSize: 1 }, NO_OBSERVER),
    )
    this.#timeoutMs = options.connectTimeoutMs
    this.#redact = redactorOf(options.credentials)
    this.#intervalMs = options.discoveryIntervalMs
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
        this.#failed(asMemcacheError(error))
      },
    )
  }

  #again(delayMs: number): void {
    this.#isPending = false
    if (!this.#closed) this.#timer = new LongTimer(() => this.refresh(), delayMs).unref()
  }

  /** Gives up the pending request, since no caller waits for it any more, and closes the connections. */
  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.clear()
    this.#operation?.fail(new MemcacheClosedError('this client was closed'))
    await Promise.all(this.#endpoints.map((endpoint) => endpoint.close()))
  }

  #failed(error: MemcacheError): void {
    this.#observer.failed(error)
    if (this.#isLost || this.#closed) return
    this.#isLost = true
    this.#observer.lost(error)
  }

  #found(text: string, servers: readonly ServerAddress[]): void {
    this.#backoff.reset()
    this.#isLost = false
    if (text === this.#text || this.#closed) return
    this.#text = text
    this.#observer.found(servers)
  }

  /** Returns the first endpoint's response; if it has none, the next endpoint's. */
  async #request(): Promise<ClusterConfiguration> {
    let reason: unknown
    for (const endpoint of this.#endpoints) {
      try {
        const lines = await this.#lines(endpoint)
        return parseConfiguration(lines, (problem) => {
          throw new MemcacheProtocolError(`${endpoint.address.name} ${this.#redact(problem).slice(0, PROBLEM_LENGTH)}`)
        })
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

  async #send(endpoint: ServerPool, request: LinesRequest): Promise<string[]> {
    const connection = endpoint.for('')
    const refusal = connection.refusal()
    if (refusal !== undefined) throw refusal
    try {
      return await new Promise((resolve, reject) => {
        this.#operation = new LinesOperation(request, resolve, reject)
        connection.send(this.#operation, this.#timeoutMs)
      })
    } catch (error) {
      // The next response would complete this one, and the next request would wait for the one after it, for ever.
      const isOpen = connection.report().state === 'ready'
      if (error instanceof MemcacheTimeoutError && isOpen) connection.desync(error.message, error)
      throw error
    }
  }
}

/** The request to a configuration endpoint: ElastiCache from 1.4.14 on, and Memorystore. */
const CONFIGURATION_REQUEST: LinesRequest = { text: 'config get cluster\r\n', untilEnd: true }
/** The request to an older ElastiCache, which has the configuration as an item. */
const OLD_CONFIGURATION_REQUEST: LinesRequest = { text: 'get AmazonElastiCache:cluster\r\n', untilEnd: true }

/** The number of lines of a configuration: its head, its version and its nodes. */
const CONFIGURATION_LINES = 3
/** The maximum length of a problem in an error, with its excerpt of the response. */
const PROBLEM_LENGTH = 300
/** The maximum number of nodes: more than the largest clusters have (300), and few enough to be hashed at once. */
const MAX_NODES = 1000

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
 * @param refuse throws an error about the endpoint: the response is not a configuration.
 */
function parseConfiguration(lines: readonly string[], refuse: (problem: string) => never): ClusterConfiguration {
  const [head = '', version = '', text = ''] = lines
  const nodes = text.split(' ').filter((node) => node !== '')
  if (
    !/^(CONFIG cluster|VALUE AmazonElastiCache:cluster) /.test(head) ||
    !/^\d+$/.test(version) ||
    nodes.length === 0
  ) {
    return refuse(
      `is not a configuration endpoint: it responded with ${JSON.stringify(lines.slice(0, CONFIGURATION_LINES))}`,
    )
  }
  if (nodes.length > MAX_NODES) return refuse(`reported ${nodes.length} nodes: at most ${MAX_NODES} can be used`)
  const servers = nodes.map((node) => parseNode(node) ?? refuse(`reported an invalid node: ${JSON.stringify(node)}`))
  // A server's name decides its keys, and identifies it in calls and results: of a node that is listed twice, such as
  // with its old and its new address, the last one counts.
  return { text, servers: [...new Map(servers.map((server) => [server.name, server])).values()] }
}

function parseNode(node: string): ServerAddress | undefined {
  const [host = '', ip = '', port = ''] = node.split('|')
  const name = host === '' ? ip : host
  const isPort = /^\d+$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535
  if (name === '' || !isPort) return undefined
  return { name: `${name}:${Number(port)}`, host: name, port: Number(port), weight: 1, ...(ip === '' ? {} : { ip }) }
}
