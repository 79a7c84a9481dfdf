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
const REQUEST: LinesRequest = { text: 'lru_crawler metadump all\r\n', untilEnd: true, lists: /^(?:key=|OK)/ }
/** The pause before the next try: the crawler's own rounds are short. */
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
      // The check above reports an abort.
      await delay(BUSY_PAUSE_MS, undefined, { signal }).catch(() => {})
    }
  } finally {
    await connection.close()
  }
}

/** Passes items to the caller as they are received; `lines` is the refusal, if there is one. */
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

/** Decodes a key; a key that is not valid UTF-8 is returned as it was sent. */
function decode(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}
