import { formatStats, MemcacheTooLargeError, Opcode } from 'memcache-ts-protocol'
import type { StepOptions } from './call-deadline.ts'
import type { Dispatcher, ServerPool } from './dispatcher.ts'
import { LinesOperation } from './operations/lines-operation.ts'
import type { LinesRequest } from './operations/lines-operation.ts'
import type { WireKey } from './client-key.ts'

/** What an item has besides its key and value, at least: a header of 48 bytes, and the ends of both. */
const OVERHEAD_BYTES = 51
/** memcached's default item limit; servers that have a smaller one refuse by themselves. */
const DEFAULT_ITEM_MAX_BYTES = 1024 * 1024

/** Of memcached alone: proxies that know no meta commands hang up on `stats`. */
const SETTINGS_REQUEST: LinesRequest = {
  text: formatStats('settings'),
  untilEnd: true,
  lists: /^STAT /,
  meta: true,
  binary: { opcode: Opcode.stat, key: 'settings' },
}

/**
 * How large an item may be (`-I`). A value over the limit is refused before it is sent: memcached would drop what the
 * key had, and proxies the connection. If the limit is not given, it is requested from a server when a value is over
 * memcached's default.
 */
export class ItemLimits {
  readonly #dispatcher: Dispatcher
  readonly #given: number | undefined
  readonly #threshold: number
  /**
   * The limits that servers have told. A server that was restarted may have another limit, so it is requested again
   * before a value is refused.
   */
  readonly #known = new WeakMap<ServerPool, number>()

  /** @param given the limit of all servers; `Infinity` leaves it to them. */
  constructor(dispatcher: Dispatcher, given: number | undefined) {
    this.#dispatcher = dispatcher
    this.#given = given
    this.#threshold = given ?? DEFAULT_ITEM_MAX_BYTES
  }

  /** Whether a value is to be checked; for most it is not. */
  mayExceed(wireKey: WireKey, bytes: Buffer | string): boolean {
    // A character is three bytes at most.
    return (
      bytes.length * 3 + OVERHEAD_BYTES + wireKey.length * 3 > this.#threshold &&
      sizeOf(wireKey, bytes) > this.#threshold
    )
  }

  /**
   * Checks a value by the known limit. Returns false if the limit has to be requested from the server first (`ask`).
   *
   * @throws MemcacheTooLargeError
   */
  isChecked(wireKey: WireKey, bytes: Buffer | string, options: StepOptions | undefined): boolean {
    if (this.#given !== undefined) throw tooLarge(sizeOf(wireKey, bytes), this.#given, undefined)
    return sizeOf(wireKey, bytes) <= (this.#known.get(this.#dispatcher.poolFor(wireKey, options)) ?? 0)
  }

  /**
   * Requests the limit of a key's server, and checks a value by it. A server that does not tell its limit refuses large
   * values by itself.
   *
   * @throws MemcacheTooLargeError
   */
  async ask(wireKey: WireKey, bytes: Buffer | string, options: StepOptions): Promise<void> {
    const pool = this.#dispatcher.poolFor(wireKey, options)
    const lines = await new Promise<string[]>((resolve, reject) => {
      const operation = new LinesOperation(SETTINGS_REQUEST, undefined, resolve, reject)
      this.#dispatcher.sendTo(pool, operation, this.#dispatcher.routedBy(wireKey, options), options)
    }).catch(() => [])
    const [, limit] = lines.map((line) => /^STAT item_size_max (\d+)$/.exec(line)).find((found) => found !== null) ?? []
    if (limit === undefined) return
    this.#known.set(pool, Number(limit))
    const size = sizeOf(wireKey, bytes)
    if (size > Number(limit)) throw tooLarge(size, Number(limit), pool.address.name)
  }
}

function sizeOf(wireKey: WireKey, bytes: Buffer | string): number {
  return OVERHEAD_BYTES + Buffer.byteLength(wireKey) + Buffer.byteLength(bytes)
}

function tooLarge(size: number, limit: number, server: string | undefined): MemcacheTooLargeError {
  return new MemcacheTooLargeError(
    `the item would have ${size} bytes, over the item limit of ${server ?? 'the servers (itemMaxBytes)'}, ${limit}: raise it with -I, or let the client store values in chunks (chunkBytes)`,
    { server },
  )
}
