import { setTimeout as delay } from 'node:timers/promises'
import { MemcacheServerError } from 'memcache-ts-protocol'
import type { CallOptions } from './call-options.ts'
import { Connection } from './connection/connection.ts'
import type { ConnectionObserver, ConnectionOptions } from './connection/connection.ts'
import { LinesOperation } from './operations/lines-operation.ts'
import type { LinesRequest } from './operations/lines-operation.ts'
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

const DEFAULT_TIMEOUT_MS = 60_000
const REQUEST: LinesRequest = { text: 'lru_crawler metadump all\r\n', untilEnd: true, refusals: ['BUSY'] }
/** The crawler is busy with the server's own rounds for a moment only. */
const BUSY_PAUSE_MS = 20
const NOBODY: ConnectionObserver = { connected() {}, disconnected() {}, retrying() {} }

/**
 * Dumps one server on a connection of its own: the answer is long, and what is asked behind it would wait. While the server's
 * crawler is busy it is asked again.
 */
export async function metadump(
  address: ServerAddress,
  connectionOptions: ConnectionOptions,
  visit: (item: DumpedItem) => void,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: MetadumpOptions = {},
): Promise<void> {
  const { name: server } = address
  const deadline = performance.now() + timeoutMs
  const connection = new Connection(address, connectionOptions, NOBODY)
  try {
    for (;;) {
      signal?.throwIfAborted()
      const leftMs = Math.max(1, deadline - performance.now())
      const [refusal] = await new Promise<string[]>((resolve, reject) => {
        const operation = new DumpOperation(server, visit, resolve, reject)
        const abort = (): void => operation.fail(signal?.reason)
        signal?.addEventListener('abort', abort, { once: true })
        operation.release = () => signal?.removeEventListener('abort', abort)
        connection.send(operation, leftMs)
      })
      if (refusal === undefined) return
      if (performance.now() + BUSY_PAUSE_MS > deadline) {
        throw new MemcacheServerError(`${server} does not dump now: ${refusal}`, { server, retryable: true })
      }
      await delay(BUSY_PAUSE_MS, undefined, { signal })
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
    super(REQUEST, undefined, false, resolve, reject)
    this.#server = server
    this.#visit = visit
  }

  override take(line: string): void {
    if (this.settled) return
    const [, key, expires, accessed] = /^key=(\S+) exp=(-?\d+) la=(\d+)/.exec(line) ?? []
    if (key === undefined) {
      // Some versions begin with OK.
      if (line !== 'OK') super.take(line)
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
