import { setTimeout as delay } from 'node:timers/promises'
import { MemcacheClosedError, MemcacheServerError } from 'memcache-ts-protocol'
import { startCall } from './call-deadline.ts'
import type { CallDeadline } from './call-deadline.ts'
import type { CallOptions } from './call-options.ts'
import { Connection } from './connection/connection.ts'
import type { ConnectionObserver, ConnectionOptions } from './connection/connection-contract.ts'
import { DeadlineTimer } from './connection/timers.ts'
import { refuseUnhosted } from './dispatcher.ts'
import { LinesOperation } from './operations/lines-operation.ts'
import type { LinesRequest } from './operations/lines-operation.ts'
import { watch } from './operations/waiter.ts'
import type { ResolvedClientOptions } from './options.ts'
import type { ServerAddress } from './server-address.ts'

/** An item of a `metadump`. */
export interface DumpedItem {
  /** The key as it is sent, with the client's prefix. */
  readonly key: string
  /** The expiry time in seconds since 1970; `Infinity` if the item does not expire. */
  readonly expiresAt: number
  /** The time of the last access in seconds since 1970. */
  readonly accessedAt: number
  /** The size in bytes, including key and header. */
  readonly size: number
  readonly server: string
}

/** Options of `metadump`. */
export interface MetadumpOptions extends Omit<CallOptions, 'groupKey' | 'server'> {
  /** Dumps only this server, by its name in `servers`. Default: all. */
  server?: string | undefined
  /** The time limit of each server for the whole dump, in milliseconds. Default 60 000. */
  timeoutMs?: number | undefined
}

/** The default time limit of a dump. */
export const METADUMP_TIMEOUT_MS = 60_000
type MetadumpConnectionOptions = ConnectionOptions & Pick<ResolvedClientOptions, 'profile'>

const REQUEST: LinesRequest = { text: 'lru_crawler metadump all\r\n', untilEnd: true, lists: /^(?:key=|OK)/ }
/** The time that `close` waits for dumps. */
const CLOSE_LIMIT_MS = 5000
/** The pause before the next try: the crawler's own rounds are short. */
const BUSY_PAUSE_MS = 20
const NO_OBSERVER: ConnectionObserver = {
  connected() {},
  disconnected() {},
  retrying() {},
  silent() {},
  retired() {},
  successor: () => undefined,
  returned: () => undefined,
}

type Visitor = (item: DumpedItem) => unknown

/** A call of `metadump`. */
interface DumpCall {
  readonly visit: Visitor
  readonly deadline: CallDeadline
}

/** The connection of a dump, and the receiver of its items. */
interface Dumping {
  readonly connection: Pick<Connection, 'server' | 'redact'>
  readonly visit: Visitor
}

/** The dumps under way. */
export class Metadumps {
  readonly #options: MetadumpConnectionOptions
  readonly #running = new Set<Metadump>()

  constructor(options: MetadumpConnectionOptions) {
    this.#options = options
  }

  /** Dumps servers. If one fails, the call rejects and the other dumps end. */
  async dump(
    servers: readonly { readonly address: ServerAddress }[],
    visit: Visitor,
    options?: MetadumpOptions,
  ): Promise<void> {
    const deadline = startCall(options, METADUMP_TIMEOUT_MS).deadline!
    const dumps = servers.map(({ address }) => new Metadump(address, this.#options, { visit, deadline }))
    for (const dump of dumps) this.#running.add(dump)
    try {
      await Promise.all(dumps.map((dump) => dump.run()))
    } catch (error) {
      for (const dump of dumps) dump.end(error)
      throw error
    } finally {
      for (const dump of dumps) this.#running.delete(dump)
    }
  }

  /** Lets dumps under way finish for a while, but repeats no request. A dump changes nothing, and may take a minute. */
  async close(): Promise<void> {
    if (this.#running.size === 0) return
    const reason = new MemcacheClosedError('this client was closed')
    const running = [...this.#running]
    const limit = new DeadlineTimer(() => running.forEach((dump) => dump.end(reason)), { keepsAlive: true })
    limit.by(performance.now() + CLOSE_LIMIT_MS)
    for (const dump of running) dump.repeatNoMore(reason)
    await Promise.allSettled(running.map((dump) => dump.run()))
    limit.clear()
  }
}

/**
 * The dump of one server on a connection of its own: the response is long, and later requests would wait for its end.
 * While the server's crawler is busy, the request is repeated.
 */
class Metadump {
  readonly #server: string
  readonly #options: MetadumpConnectionOptions
  readonly #connection: Connection
  readonly #visit: Visitor
  readonly #deadline: CallDeadline
  #run: Promise<void> | undefined
  #operation: DumpOperation | undefined
  #isEnded = false
  #reason: unknown

  constructor(address: ServerAddress, options: MetadumpConnectionOptions, { visit, deadline }: DumpCall) {
    this.#server = address.name
    this.#options = options
    this.#connection = new Connection(address, options, NO_OBSERVER)
    this.#visit = visit
    this.#deadline = deadline
  }

  /** Resolves when all items were visited; further calls return the same promise. */
  run(): Promise<void> {
    return (this.#run ??= this.#repeat())
  }

  async #repeat(): Promise<void> {
    const server = this.#server
    const deadline = this.#deadline
    try {
      for (;;) {
        if (this.#isEnded) throw this.#reason
        deadline.check()
        const [refusal] = await this.#request()
        if (refusal === undefined) return
        if (performance.now() + BUSY_PAUSE_MS > deadline.at) {
          const excerpt = this.#connection.redact(refusal)
          throw new MemcacheServerError(`${server} cannot dump its keys now: ${excerpt}`, { server, retryable: true })
        }
        await delay(BUSY_PAUSE_MS)
      }
    } finally {
      await this.#connection.close()
    }
  }

  /** Lets the request under way finish; if the server is busy, the dump then ends with an error. */
  repeatNoMore(reason: unknown): void {
    this.#isEnded = true
    this.#reason = reason
  }

  /** Ends the dump with an error: no more items are visited. */
  end(reason: unknown): void {
    this.repeatNoMore(reason)
    this.#operation?.fail(reason)
  }

  #request(): Promise<string[]> {
    const { signal, timeoutMs } = this.#deadline
    const connection = this.#connection
    return new Promise((resolve, reject) => {
      const operation = new DumpOperation({ connection, visit: this.#visit }, resolve, reject)
      if (this.#options.profile === 'hosted') refuseUnhosted(operation)
      this.#operation = operation
      operation.call = this.#deadline
      connection.send(operation, timeoutMs)
      if (signal !== undefined) watch(signal, operation)
    })
  }
}

/** Passes items to the caller as they are received; `lines` is the refusal, if there is one. */
class DumpOperation extends LinesOperation {
  readonly #connection: Pick<Connection, 'server' | 'redact'>
  readonly #visit: Visitor
  /** The number of the visitor's promises that are pending. */
  #visits = 0
  #isComplete = false

  constructor({ connection, visit }: Dumping, resolve: (lines: string[]) => void, reject: (error: unknown) => void) {
    super(REQUEST, resolve, reject)
    this.#connection = connection
    this.#visit = visit
  }

  override take(line: string): void {
    if (this.settled) return
    const { server } = this.#connection
    const [, key, expires, accessed] = /^key=(\S+) exp=(-?\d+) la=(\d+)/.exec(line) ?? []
    if (key === undefined) {
      // A refusal may be temporary, an item that cannot be read is not.
      if (line.startsWith('key=')) {
        const excerpt = this.#connection.redact(line)
        this.fail(new MemcacheServerError(`${server} sent an invalid line of its key dump: ${excerpt}`, { server }))
      } else if (line !== 'OK') {
        // Some versions begin with OK.
        super.take(line)
      }
      return
    }
    const expiresAt = Number(expires)
    this.#pass({
      key: decode(key),
      expiresAt: expiresAt <= 0 ? Infinity : expiresAt,
      accessedAt: Number(accessed),
      size: Number(/ size=(\d+)/.exec(line)?.[1] ?? 0),
      server,
    })
  }

  /** Ends the dump when the visitor's promises are fulfilled. */
  override finish(): void {
    this.#isComplete = true
    if (this.#visits === 0) super.finish()
  }

  #pass(item: DumpedItem): void {
    try {
      const visited = this.#visit(item)
      if (!(visited instanceof Promise)) return
      this.#visits++
      visited.then(
        () => {
          this.#visits--
          if (this.#isComplete) this.finish()
        },
        (error: unknown) => this.fail(error),
      )
    } catch (error) {
      this.fail(error)
    }
  }
}

/** Decodes a key; a key that is not valid UTF-8 is returned as it was sent. */
function decode(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}
