import type { Key, Ttl } from 'memcache-ts-protocol'

/** A key: text, parts that are escaped and joined by `:`, or bytes that text could not hold. */
export type ClientKey = Key | Uint8Array

/** What every call may carry. */
export interface CallOptions {
  /** How long this call may take, in milliseconds, instead of the client's `timeoutMs`. */
  timeoutMs?: number | undefined
  /** Ends the wait with the signal's reason; what was sent may still be carried out. */
  signal?: AbortSignal | undefined
  /**
   * The call goes to the server of this key, by its connection: the keys of a group are on one server, and calls on
   * them keep their order.
   */
  groupKey?: ClientKey | undefined
  /** The call goes to this server, by its name in `servers`, whatever the key. */
  server?: string | undefined
  /** Whether a stored value that cannot be decoded is an `error` or a `miss`. Default: as the client's `unreadable`. */
  unreadable?: 'error' | 'miss' | undefined
}

/** Options of calls that write. */
export interface WriteOptions extends CallOptions {
  /**
   * Resolves with `undefined` as soon as the request is handed to its connection. The server's response is read and
   * dropped, errors too; later calls on the key still come after it. Default false.
   */
  noreply?: boolean | undefined
}

/** What a call that writes resolves to: nothing with `noreply`. */
export type Written<Options, Result> = Options extends { readonly noreply: true } ? undefined : Result

/** Options of `incr` and `decr`. */
export interface CounterOptions extends WriteOptions {
  /** What a counter that is not there starts with; without it, a miss is `undefined`. */
  initial?: number | bigint | undefined
  /** The lifetime of a counter that is made. Default: for ever. */
  ttl?: Ttl | undefined
}

/** Options of `meta.get`. */
export interface MetaGetOptions extends CallOptions {
  /** N: on a miss, an empty item is made for so many seconds, and this caller has `won` the right to fill it. */
  vivifySeconds?: number | undefined
  /** R: the first caller within so many seconds of the item's end has `won` the right to recache it. */
  recacheSeconds?: number | undefined
  /** T: give it this lifetime. */
  touchTtl?: Ttl | undefined
  /** E: with `vivifySeconds`, the cas unique that the item gets which is made. */
  newCas?: bigint | undefined
  /**
   * C: the cas unique of a value that the caller has already: while the item has it, the value is left out and the
   * result is `unchanged`. Servers older than memcached 1.6.40 send the value all the same; it is dropped.
   */
  compareCas?: bigint | undefined
  /** u: leave its place in the LRU as it is. Default false. */
  noBump?: boolean | undefined
  /** h and l: also tell whether and when it was last accessed. Default false. */
  access?: boolean | undefined
  /** v: whether to fetch the value, not just what is known of it. Default true. */
  value?: boolean | undefined
}

/** An item, as `meta.get` found it. */
export interface MetaItem<Value> {
  /** `undefined` for a lease that is not filled yet, and if the value was not requested. */
  readonly value: Value | undefined
  /** Whether the item still has the cas unique that `compareCas` named; its value is left out then. */
  readonly unchanged: boolean
  /** s: the value's bytes. */
  readonly size: number
  /** c */
  readonly casUnique: bigint
  /** f */
  readonly clientFlags: number
  /** t: `Infinity` for an item that does not expire. */
  readonly ttlSeconds: number
  /** W: this caller has the right, and the duty, to recache it. */
  readonly won: boolean
  /** X: it was marked stale. */
  readonly stale: boolean
  /** Z: another caller has the right to recache it. */
  readonly lost: boolean
  /** h: whether it was fetched before; `undefined` unless `access` asked for it. */
  readonly hitBefore: boolean | undefined
  /** l: seconds since it was last accessed; `undefined` unless `access` asked for it. */
  readonly lastAccessSeconds: number | undefined
}

/** Options of `meta.set`. */
export interface MetaSetOptions extends CallOptions {
  /** T: its lifetime. Default: for ever. */
  ttl?: Ttl | undefined
  /** M: as the commands of that name. Default `set`. */
  mode?: 'set' | 'add' | 'replace' | 'append' | 'prepend' | undefined
  /** C: store only in place of the item that has this cas unique. */
  compareCas?: bigint | undefined
  /** I: with `compareCas` below the item's, store it marked stale. */
  invalidate?: boolean | undefined
  /** E: the cas unique that it gets. */
  newCas?: bigint | undefined
  /** N: on `append` and `prepend`, make the item on a miss, with this lifetime. */
  vivifyTtl?: Ttl | undefined
}

/** How a `meta.set` ended. */
export interface MetaSetResult {
  readonly status: 'stored' | 'notStored' | 'exists' | 'notFound'
  /** The stored item's; 0n when nothing was stored, or the server has no meta commands. */
  readonly casUnique: bigint
}

/** Options of `meta.delete`. */
export interface MetaDeleteOptions extends CallOptions {
  /** C: delete only the item that has this cas unique. */
  compareCas?: bigint | undefined
  /** I: mark it stale instead of deleting it. */
  invalidate?: boolean | undefined
  /** x: empty it of its value and client flags, and keep the item. */
  removeValue?: boolean | undefined
  /** T: with `invalidate` or `removeValue`, the lifetime that is left to it. */
  ttl?: Ttl | undefined
  /** E: with `invalidate` or `removeValue`, the cas unique that it gets. */
  newCas?: bigint | undefined
}

/** Options of `meta.arithmetic`. */
export interface MetaArithmeticOptions<Amount extends number | bigint = number | bigint> extends CallOptions {
  /** D: by how much. Default 1. */
  delta?: Amount | undefined
  /** M: default `incr`. `decr` stops at 0. */
  mode?: 'incr' | 'decr' | undefined
  /** J: what a counter that is made starts with. Default 0. */
  initial?: Amount | undefined
  /** N: make a counter on a miss, with this lifetime. */
  vivifyTtl?: Ttl | undefined
  /** T: give the counter this lifetime. */
  ttl?: Ttl | undefined
  /** C: only if it has this cas unique. */
  compareCas?: bigint | undefined
  /** E: the cas unique that it gets. */
  newCas?: bigint | undefined
}

/** A counter, as `meta.arithmetic` left it. */
export interface MetaCounter<Amount extends number | bigint = number | bigint> {
  readonly value: Amount
  readonly casUnique: bigint
  /** `Infinity` for a counter that does not expire. */
  readonly ttlSeconds: number
}
