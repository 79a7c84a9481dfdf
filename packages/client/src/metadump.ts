import { setTimeout as delay } from 'node:timers/promises'
import { MemcacheServerError } from 'memcache-ts-protocol'
import { startCall } from './call-deadline.ts'
import type { CallOptions } from './call-options.ts'
import { Connection } from './connection/connection.ts'
import type { ConnectionObserver, ConnectionOptions } from './connection/connection-contract.ts'
import { refuseUnhosted } from './dispatcher.ts'
import { LinesOperation } from './operations/lines-operation.ts'
import type { LinesRequest } from './operations/lines-operation.ts'
import { watch } from './operations/waiter.ts'
import type { ResolvedClientOptions } from './options.ts'
import type { ServerAddress } from './server-address.ts'

/** An item of a `metadump`. */
export interface DumpedItem {
  /** As it goes over the wire: with the client's prefix. */
  readonly key: string
  /** Seconds since 1970 at which it expires; `Infinity` for one that does not. */
  readonly expiresAt: number
  /** Seconds since 1970 at which it was last accessed. */
  readonly accessedAt: number
  /** Its bytes, key and header included. */
  readonly size: number
  readonly server: string
}

/** Options of `metadump`. */
export interface MetadumpOptions extends Omit<CallOptions, 'groupKey' | 'server'> {
  /** This server alone, by its name in `servers`. Default: all. */
  server?: string | undefined
  /** How long a server may take for all of it, in milliseconds. Default 60 000. */
  timeoutMs?: number | undefined
}

/** How long a dump may take by default. */
export const METADUMP_TIMEOUT_MS = 60_000
const REQUEST: LinesRequest = { text: 'lru_crawler metadump all\r\n', untilEnd: true, lists: /^(?:key=|OK)/ }
/** The crawler is busy with the server's own rounds for a moment only. */
const BUSY_PAUSE_MS = 20
const NOBODY: ConnectionObserver = {
  connected() {},
  disconnected() {},
  retrying() {},
  silent() {},
  retired() {},
  successor: () => undefined,
  returned: () => undefined,
}

/**
 * Dumps one server on a connection of its own: the response is long, and later requests would wait for its end. While
 * the server's crawler is busy, the request is repeated.
 */
export async function metadump(
  address: ServerAddress,
  connectionOptions: ConnectionOptions & Pick<ResolvedClientOptions, 'profile'>,
  visit: (item: DumpedItem) => void,
  options?: MetadumpOptions,
): Promise<void> {
  const { name: server } = address
  const deadline = startCall(options, METADUMP_TIMEOUT_MS).deadline!
  const { signal } = deadline
  const connection = new Connection(address, connectionOptions, NOBODY)
  try {
    for (;;) {
      deadline.check()
      const [refusal] = await new Promise<string[]>((resolve, reject) => {
        const operation = new DumpOperation(server, visit, resolve, reject)
        if (connectionOptions.profile === 'hosted') refuseUnhosted(operation)
        operation.call = deadline
        connection.send(operation, deadline.timeoutMs)
        if (signal !== undefined) watch(signal, operation)
      })
      if (refusal === undefined) return
      if (performance.now() + BUSY_PAUSE_MS > deadline.at) {
        throw new MemcacheServerError(`${server} does not dump now: ${refusal}`, { server, retryable: true })
      }
      // An abort is told by the check above.
      await delay(BUSY_PAUSE_MS, undefined, { signal }).catch(() => {})
    }
  } finally {
    await connection.close()
  }
}

/** Hands items on as they come; its lines are the refusal, if there is one. */
class DumpOperation extends LinesOperation {
  readonly #server: string
  readonly #visit: (item: DumpedItem) => void

  constructor(
    server: string,
    visit: (item: DumpedItem) => void,
    resolve: (lines: string[]) => void,
    reject: (error: unknown) => void,
  ) {
    super(REQUEST, undefined, resolve, reject)
    this.#server = server
    this.#visit = visit
  }

  override take(line: string): void {
    if (this.settled) return
    const [, key, expires, accessed] = /^key=(\S+) exp=(-?\d+) la=(\d+)/.exec(line) ?? []
    if (key === undefined) {
      // A refusal may be temporary, an item that cannot be read is not.
      if (line.startsWith('key=')) {
        const server = this.#server
        this.fail(new MemcacheServerError(`${server} dumped an item that cannot be read: ${line}`, { server }))
      } else if (line !== 'OK') {
        // Some versions begin with OK.
        super.take(line)
      }
      return
    }
    const expiresAt = Number(expires)
    try {
      this.#visit({
        key: decode(key),
        expiresAt: expiresAt <= 0 ? Infinity : expiresAt,
        accessedAt: Number(accessed),
        size: Number(/ size=(\d+)/.exec(line)?.[1] ?? 0),
        server: this.#server,
      })
    } catch (error) {
      this.fail(error)
    }
  }
}

/** A key of bytes that are no UTF-8 stays as it was sent. */
function decode(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}
