import type { Key, Ttl } from 'memcache-ts-protocol'

/** A key: text, parts that are escaped and joined by `:`, or bytes, which need not be valid text. */
export type ClientKey = Key | Uint8Array

/** Options of every call. */
export interface CallOptions {
  /** The time limit of this call in milliseconds, instead of the client's `timeoutMs`. */
  timeoutMs?: number | undefined
  /** Ends the wait with the signal's reason; a request that was sent may still be carried out. */
  signal?: AbortSignal | undefined
  /**
   * The call goes to the server and the connection of this key: the keys of a group are on one server, and calls on
   * them keep their order.
   */
  groupKey?: ClientKey | undefined
  /** The call goes to the server with this name in `servers`, for any key. */
  server?: string | undefined
  /** Whether a stored value that cannot be decoded is an `error` or a `miss`. Default: as the client's `unreadable`. */
  unreadable?: 'error' | 'miss' | undefined
}

/** Options of calls that write. */
export interface WriteOptions extends CallOptions {
  /**
   * Resolves with `undefined` as soon as the request is passed to its connection. The server's response is read and
   * dropped, including errors; later calls on the key are still sent after it. Default false.
   */
  noreply?: boolean | undefined
}

/** The result of a call that writes: `undefined` with `noreply`. */
export type Written<Options, Result> = Options extends { readonly noreply: true } ? undefined : Result

/** Options of `incr` and `decr`. */
export interface CounterOptions extends WriteOptions {
  /** The value of a counter that is created; without it, a miss returns `undefined`. */
  initial?: number | bigint | undefined
  /** The lifetime of a counter that is created. Default: it does not expire. */
  ttl?: Ttl | undefined
}

/** Options of `meta.get`. */
export interface MetaGetOptions extends CallOptions {
  /** N: on a miss, an empty item is created for this many seconds, and this caller has `won` the right to fill it. */
  vivifySeconds?: number | undefined
  /** R: if the item expires within this many seconds, the first caller has `won` the right to recache it. */
  recacheSeconds?: number | undefined
  /** T: sets the item's lifetime. */
  touchTtl?: Ttl | undefined
  /** E: with `vivifySeconds`, the cas unique of the created item. */
  newCas?: bigint | undefined
  /**
   * C: the cas unique of a value that the caller already has: if the item still has it, the value is omitted and the
   * result is `unchanged`. Servers older than memcached 1.6.40 send the value anyway; it is dropped.
   */
  compareCas?: bigint | undefined
  /** u: does not move the item in the LRU. Default false. */
  noBump?: boolean | undefined
  /** h and l: also returns whether and when the item was last accessed. Default false. */
  access?: boolean | undefined
  /** v: whether to fetch the value, and not only the item's metadata. Default true. */
  value?: boolean | undefined
}

/** An item as `meta.get` returns it. */
export interface MetaItem<Value> {
  /** The value; `undefined` for an unfilled lease, and if the value was not requested. */
  readonly value: Value | undefined
  /** Whether the item still has the cas unique of `compareCas`; the value is omitted then. */
  readonly unchanged: boolean
  /** s: the value's size in bytes. */
  readonly size: number
  /** c: the cas unique. */
  readonly casUnique: bigint
  /** f: the client flags. */
  readonly clientFlags: number
  /** t: the remaining lifetime in seconds; `Infinity` for an item that does not expire. */
  readonly ttlSeconds: number
  /** W: this caller has the right to recache the item, and should do so. */
  readonly won: boolean
  /** X: the item was marked stale. */
  readonly stale: boolean
  /** Z: another caller has the right to recache the item. */
  readonly lost: boolean
  /** h: whether the item was fetched before; `undefined` without `access`. */
  readonly hitBefore: boolean | undefined
  /** l: seconds since the last access; `undefined` without `access`. */
  readonly lastAccessSeconds: number | undefined
}

/** Options of `meta.set`. */
export interface MetaSetOptions extends CallOptions {
  /** T: the lifetime. Default: the item does not expire. */
  ttl?: Ttl | undefined
  /** M: the mode, like the command of that name. Default `set`. */
  mode?: 'set' | 'add' | 'replace' | 'append' | 'prepend' | undefined
  /** C: stores the value only if the item has this cas unique. */
  compareCas?: bigint | undefined
  /** I: if `compareCas` is lower than the item's cas unique, stores the value marked stale. */
  invalidate?: boolean | undefined
  /** E: the new cas unique. */
  newCas?: bigint | undefined
  /** N: with `append` and `prepend`, creates the item on a miss, with this lifetime. */
  vivifyTtl?: Ttl | undefined
}

/** The result of `meta.set`. */
export interface MetaSetResult {
  readonly status: 'stored' | 'notStored' | 'exists' | 'notFound'
  /** The stored item's cas unique; 0n if nothing was stored, or the server has no meta commands. */
  readonly casUnique: bigint
}

/** Options of `meta.delete`. */
export interface MetaDeleteOptions extends CallOptions {
  /** C: deletes the item only if it has this cas unique. */
  compareCas?: bigint | undefined
  /** I: marks the item stale instead of deleting it. */
  invalidate?: boolean | undefined
  /** x: removes the value and the client flags, and keeps the item. */
  removeValue?: boolean | undefined
  /** T: with `invalidate` or `removeValue`, the remaining lifetime. */
  ttl?: Ttl | undefined
  /** E: with `invalidate` or `removeValue`, the new cas unique. */
  newCas?: bigint | undefined
}

/** Options of `meta.arithmetic`. */
export interface MetaArithmeticOptions<Amount extends number | bigint = number | bigint> extends CallOptions {
  /** D: the amount. Default 1. */
  delta?: Amount | undefined
  /** M: `incr` adds, `decr` subtracts down to 0. Default `incr`. */
  mode?: 'incr' | 'decr' | undefined
  /** J: the value of a counter that is created. Default 0. */
  initial?: Amount | undefined
  /** N: creates a counter on a miss, with this lifetime. */
  vivifyTtl?: Ttl | undefined
  /** T: sets the counter's lifetime. */
  ttl?: Ttl | undefined
  /** C: changes the counter only if it has this cas unique. */
  compareCas?: bigint | undefined
  /** E: the new cas unique. */
  newCas?: bigint | undefined
}

/** A counter after `meta.arithmetic`. */
export interface MetaCounter<Amount extends number | bigint = number | bigint> {
  readonly value: Amount
  readonly casUnique: bigint
  /** The remaining lifetime in seconds; `Infinity` for a counter that does not expire. */
  readonly ttlSeconds: number
}
