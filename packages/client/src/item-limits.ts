import { formatStats, MemcacheTimeoutError, MemcacheTooLargeError, Opcode } from 'memcache-ts-protocol'
import { CallDeadline } from './call-deadline.ts'
import type { StepOptions } from './call-deadline.ts'
import type { Dispatcher, ServerPool } from './dispatcher.ts'
import { LinesOperation } from './operations/lines-operation.ts'
import type { LinesRequest } from './operations/lines-operation.ts'
import type { ItemToStore } from './operations/store-operation.ts'
import type { WireKey } from './client-key.ts'
import { WaitingCalls } from './waiting-calls.ts'

/** The cas unique of an item, unless the server has none (`-C`). */
const CAS_BYTES = 8
/** What an item has besides its key and value: a header of 48 bytes, the ends of both, and the cas unique. */
const OVERHEAD_BYTES = 51 + CAS_BYTES
/** Client flags that are not 0. */
const FLAGS_BYTES = 4
/** memcached refuses a lower `-I`. */
const MIN_ITEM_MAX_BYTES = 1024
/** How long a refusal counts of a server that does not tell its limit: it may be restarted with another one. */
const REFUSAL_MS = 60_000
/** How long a server is not asked again that has not responded: some proxies do not respond to unknown commands. */
const SILENCE_MS = 600_000

/** Of memcached alone: proxies that know no meta commands hang up on `stats`. */
const SETTINGS_REQUEST: LinesRequest = {
  text: formatStats('settings'),
  untilEnd: true,
  lists: /^STAT /,
  meta: true,
  binary: { opcode: Opcode.stat, key: 'settings' },
}

/** The size of the largest item that a server stores. */
interface ItemLimit {
  /** `Infinity` for a server that does not tell. */
  readonly bytes: number
  /**
   * Until when it counts, by `performance.now()`, if the server has not told it: it has refused an item, or has not
   * responded.
   */
  readonly until: number
}

const UNKNOWN: ItemLimit = { bytes: 0, until: Infinity }

/**
 * How large an item may be (`-I`). A value over the limit is refused before it is sent: memcached would drop what the
 * key had, and proxies the connection. If the limit is not given, it is requested from a server before the first value
 * that may be over the lowest limit that memcached can have.
 */
export class ItemLimits {
  readonly #dispatcher: Dispatcher
  readonly #timeoutMs: number
  readonly #given: number | undefined
  readonly #known = new WeakMap<ServerPool, ItemLimit>()
  /** The calls that wait for a server's limit. */
  readonly #waiting = new WeakMap<ServerPool, WaitingCalls>()
  /** Up to this size, every server stores an item. */
  #threshold: number
  /** The servers that `#threshold` is of. */
  #pools: readonly ServerPool[] | undefined

  /**
   * @param given the limit of all servers; `Infinity` leaves it to them.
   * @param timeoutMs how long a server may take to tell its limit.
   */
  constructor(dispatcher: Dispatcher, given: number | undefined, timeoutMs: number) {
    this.#dispatcher = dispatcher
    this.#given = given
    this.#timeoutMs = timeoutMs
    this.#threshold = given ?? 0
  }

  /** Returns whether a value is to be checked; for most it is not. */
  mayExceed(wireKey: WireKey, bytes: Buffer | string, clientFlags: number): boolean {
    if (this.#pools !== this.#dispatcher.pools) this.#update()
    // A character is three bytes at most.
    return (
      (bytes.length + wireKey.length) * 3 + OVERHEAD_BYTES + FLAGS_BYTES > this.#threshold &&
      sizeOf({ wireKey, bytes, clientFlags }) > this.#threshold
    )
  }

  /**
   * Checks a value by the known limit. Returns false if the limit has to be requested from the server first (`check`).
   *
   * @throws MemcacheTooLargeError
   */
  isChecked(item: ItemToStore, options: StepOptions | undefined): boolean {
    const size = sizeOf(item)
    if (this.#given !== undefined) throw tooLarge(size, this.#given, undefined)
    return size <= this.#limitOf(this.#dispatcher.poolFor(item.wireKey, options))
  }

  /**
   * Requests the limit of a key's server, and checks a value by it. A server that does not tell its limit refuses large
   * values by itself.
   *
   * @throws MemcacheTooLargeError
   */
  async check(item: ItemToStore, options: StepOptions): Promise<void> {
    const pool = this.#dispatcher.poolFor(item.wireKey, options)
    let waiting = this.#waiting.get(pool)
    if (waiting === undefined) {
      waiting = new WaitingCalls((timeoutMs) => `${pool.address.name} did not tell its item limit in ${timeoutMs} ms`)
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

  /** A server has refused an item although it was not known to be too large. */
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

  /** A server that was restarted may have another limit, so it is requested again before a value is refused. */
  async #request(pool: ServerPool): Promise<void> {
    const timeoutMs = this.#timeoutMs
    const step: StepOptions = { deadline: new CallDeadline(performance.now() + timeoutMs, timeoutMs, undefined) }
    let failure: unknown
    const lines = await new Promise<string[]>((resolve, reject) => {
      const operation = new LinesOperation(SETTINGS_REQUEST, undefined, resolve, reject)
      // A proxy may hang up on it.
      operation.mayRepeat = false
      this.#dispatcher.sendTo(pool, operation, '', step)
    }).catch((error: unknown) => void (failure = error))
    const isSilent = failure instanceof MemcacheTimeoutError
    // A server that cannot be reached is asked when it is back.
    if (failure !== undefined && pool.isDown && !isSilent) return
    const bytes = limitIn(lines ?? [])
    const now = performance.now()
    const refusal = this.#known.get(pool)
    // A server that refuses less than it tells will refuse it again.
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

/** Returns the limit that settings tell, of items with a cas unique; `Infinity` if they tell none. */
function limitIn(settings: readonly string[]): number {
  const told = new Map(settings.map((line) => line.split(' ').slice(1, 3) as [name: string, value: string]))
  const bytes = Number(told.get('item_size_max'))
  if (!(bytes >= MIN_ITEM_MAX_BYTES)) return Infinity
  return told.get('cas_enabled') === 'no' ? bytes + CAS_BYTES : bytes
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
