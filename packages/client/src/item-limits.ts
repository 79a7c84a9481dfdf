import { formatStats, MemcacheTimeoutError, MemcacheTooLargeError, Opcode } from 'memcache-ts-protocol'
import { CallDeadline } from './call-deadline.ts'
import type { StepOptions } from './call-deadline.ts'
import type { Dispatcher, ServerPool } from './dispatcher.ts'
import { LinesOperation } from './operations/lines-operation.ts'
import type { LinesRequest } from './operations/lines-operation.ts'
import type { ItemToStore } from './operations/write-operations.ts'
import type { WireKey } from './client-key.ts'
import { WaitingCalls } from './waiting-calls.ts'

/** The cas unique of an item, unless the server has none (`-C`). */
const CAS_BYTES = 8
/** The size of an item without its key and value: a header of 48 bytes, the ends of both, and the cas unique. */
const OVERHEAD_BYTES = 51 + CAS_BYTES
/** The size of client flags that are not 0. */
const FLAGS_BYTES = 4
/** memcached refuses a lower `-I`. */
const MIN_ITEM_MAX_BYTES = 1024
/** The time that a refusal counts if the server does not report its limit: it may be restarted with another one. */
const REFUSAL_MS = 60_000
/**
 * The time until a server that did not respond receives the request again: some proxies do not respond to unknown
 * commands.
 */
const SILENCE_MS = 600_000

/** The request for the settings, sent only to servers with meta commands: proxies without them hang up on `stats`. */
const SETTINGS_REQUEST: LinesRequest = {
  text: formatStats('settings'),
  untilEnd: true,
  lists: /^STAT /,
  meta: true,
  binary: { opcode: Opcode.stat, key: 'settings' },
}

/** The size of the largest item that a server stores. */
interface ItemLimit {
  /** The limit; `Infinity` if the server does not report it. */
  readonly bytes: number
  /**
   * The time until which the limit counts, by `performance.now()`, if the server did not report it but refused an item
   * or did not respond.
   */
  readonly until: number
}

const UNKNOWN: ItemLimit = { bytes: 0, until: Infinity }

/**
 * The item limits of the servers (`-I`). A value over the limit is refused before it is sent: memcached would drop the
 * stored value, and proxies would drop the connection. If the limit is not given, it is requested from a server before
 * the first value that may be over the lowest limit of memcached.
 */
export class ItemLimits {
  readonly #dispatcher: Dispatcher
  readonly #timeoutMs: number
  readonly #given: number | undefined
  readonly #known = new WeakMap<ServerPool, ItemLimit>()
  /** The calls that wait for a server's limit. */
  readonly #waiting = new WeakMap<ServerPool, WaitingCalls>()
  /** The size up to which every server stores an item. */
  #threshold: number
  /** The servers for which `#threshold` was computed. */
  #pools: readonly ServerPool[] | undefined

  /**
   * @param given the limit of all servers; `Infinity` disables the check.
   * @param timeoutMs the time limit of the request for a server's limit.
   */
  constructor(dispatcher: Dispatcher, given: number | undefined, timeoutMs: number) {
    this.#dispatcher = dispatcher
    this.#given = given
    this.#timeoutMs = timeoutMs
    this.#threshold = given ?? 0
  }

  /** Returns whether a value must be checked; most values are too small. */
  mayExceed(wireKey: WireKey, bytes: Buffer | string, clientFlags: number): boolean {
    if (this.#pools !== this.#dispatcher.pools) this.#update()
    // A character is three bytes at most.
    return (
      (bytes.length + wireKey.length) * 3 + OVERHEAD_BYTES + FLAGS_BYTES > this.#threshold &&
      sizeOf({ wireKey, bytes, clientFlags }) > this.#threshold
    )
  }

  /**
   * Checks a value against the known limit. Returns false if the limit must be requested from the server first
   * (`check`).
   *
   * @throws MemcacheTooLargeError
   */
  isChecked(item: ItemToStore, options: StepOptions | undefined): boolean {
    const size = sizeOf(item)
    if (this.#given !== undefined) throw tooLarge(size, this.#given, undefined)
    return size <= this.#limitOf(this.#dispatcher.poolFor(item.wireKey, options))
  }

  /**
   * Requests the limit of a key's server, and checks a value against it. A server that does not report its limit
   * refuses large values itself.
   *
   * @throws MemcacheTooLargeError
   */
  async check(item: ItemToStore, options: StepOptions): Promise<void> {
    const pool = this.#dispatcher.poolFor(item.wireKey, options)
    let waiting = this.#waiting.get(pool)
    if (waiting === undefined) {
      waiting = new WaitingCalls((timeoutMs) => `${pool.address.name} did not report its item limit in ${timeoutMs} ms`)
      this.#waiting.set(pool, waiting)
      void this.#request(pool).then(() => {
        this.#waiting.delete(pool)
        waiting!.pass()
      })
    }
    await waiting.wait(options.deadline!)
    const size = sizeOf(item)
    const limit = this.#limitOf(pool)
    if (limit > 0 && size > limit) throw tooLarge(size, limit, pool.address.name)
  }

  /** Notes that a server refused an item that was not known to be too large. */
  readonly refused = (item: ItemToStore, server: string | undefined): void => {
    const pool = this.#dispatcher.pools.find(({ address }) => address.name === server)
    if (pool === undefined) return
    // Limits are whole kilobytes.
    const bytes = Math.floor((sizeOf(item) - 1) / 1024) * 1024
    this.#known.set(pool, { bytes, until: performance.now() + REFUSAL_MS })
    this.#update()
  }

  /** Returns the limit of a server; 0 if it is not known. */
  #limitOf(pool: ServerPool): number {
    const { bytes, until } = this.#known.get(pool) ?? UNKNOWN
    return until > performance.now() ? bytes : 0
  }

  /** Requests the limit of a server. It is requested again before a value is refused, since a restart may change it. */
  async #request(pool: ServerPool): Promise<void> {
    const step: StepOptions = { deadline: CallDeadline.fromNow(this.#timeoutMs) }
    let failure: unknown
    const lines = await new Promise<string[]>((resolve, reject) => {
      const operation = new LinesOperation(SETTINGS_REQUEST, resolve, reject)
      // A proxy may hang up on it.
      operation.mayRepeat = false
      this.#dispatcher.sendBy(pool.for(''), operation, step)
    }).catch((error: unknown) => void (failure = error))
    const isSilent = failure instanceof MemcacheTimeoutError
    // The limit of a server that cannot be reached is requested when the server is back.
    if (failure !== undefined && pool.isDown && !isSilent) return
    const bytes = limitIn(lines ?? [])
    const now = performance.now()
    const refusal = this.#known.get(pool)
    // A server that refused an item below its reported limit will refuse it again.
    if (refusal !== undefined && refusal.until < Infinity && refusal.until > now && bytes > refusal.bytes) return
    this.#known.set(pool, { bytes, until: isSilent ? now + SILENCE_MS : Infinity })
    this.#update()
  }

  #update(): void {
    const { pools } = this.#dispatcher
    this.#pools = pools
    if (this.#given !== undefined) return
    this.#threshold = Math.min(...pools.map((pool) => this.#known.get(pool)?.bytes ?? MIN_ITEM_MAX_BYTES))
  }
}

/** Returns the limit in the settings, for items with a cas unique; `Infinity` if there is none. */
function limitIn(settings: readonly string[]): number {
  const values = new Map(settings.map((line) => line.split(' ').slice(1, 3) as [name: string, value: string]))
  const bytes = Number(values.get('item_size_max'))
  if (!(bytes >= MIN_ITEM_MAX_BYTES)) return Infinity
  return values.get('cas_enabled') === 'no' ? bytes + CAS_BYTES : bytes
}

function sizeOf({ wireKey, bytes, clientFlags }: ItemToStore): number {
  const flagsBytes = clientFlags === 0 ? 0 : FLAGS_BYTES
  return OVERHEAD_BYTES + flagsBytes + Buffer.byteLength(wireKey) + Buffer.byteLength(bytes)
}

function tooLarge(size: number, limit: number, server: string | undefined): MemcacheTooLargeError {
  return new MemcacheTooLargeError(
    `the item would have ${size} bytes, over the item limit of ${server ?? 'the servers (itemMaxBytes)'}, ${limit}: raise it with -I, or let the client store values in chunks (chunkBytes below that)`,
    { server },
  )
}
