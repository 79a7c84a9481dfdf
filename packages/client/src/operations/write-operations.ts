import { MemcacheTooLargeError } from 'memcache-ts-protocol'
import type { Uint64 } from 'memcache-ts-protocol'
import { Operation } from './operation.ts'
import type { WireKey } from '../client-key.ts'

/** The ways to store a value, by memcached's names. */
export type StoreMode = 'set' | 'add' | 'replace' | 'append' | 'prepend'

/** The outcomes of a store. */
export type StoreStatus = 'stored' | 'notStored' | 'exists' | 'notFound'

/** An item as a server stores it. */
export interface ItemToStore {
  readonly wireKey: WireKey
  readonly bytes: Buffer | string
  readonly clientFlags: number
}

/** Conditions of a store that most stores do not have. */
export interface StoreConditions {
  /** Whether the response has the new cas unique. */
  readonly returnCas?: boolean
  readonly compareCas?: Uint64 | undefined
  readonly newCas?: Uint64 | undefined
  readonly invalidate?: boolean | undefined
  readonly vivifyExptime?: number | undefined
}

/** A request to store a value, and the function that makes the result from its response. */
export interface StoreRequest<Result> extends ItemToStore {
  /** The key, for errors. */
  readonly name: string
  readonly mode: StoreMode
  readonly exptime: number
  readonly conditions?: StoreConditions | undefined
  /** Makes the result; the cas unique is valid only during the call, and zero if the server does not report it. */
  readonly build: (status: StoreStatus, casUnique: Uint64) => Result
  /** Called if a server refused the item because it is too large. */
  readonly refused?: ((item: ItemToStore, server: string | undefined) => void) | undefined
}

const NONE: StoreConditions = {}

/** The operation that stores a value. */
export class StoreOperation<Result = unknown> extends Operation {
  readonly kind = 'store'
  readonly wireKey: WireKey
  readonly mode: StoreMode
  readonly bytes: Buffer | string
  readonly clientFlags: number
  readonly exptime: number
  readonly conditions: StoreConditions
  readonly #build: (status: StoreStatus, casUnique: Uint64) => Result
  readonly #resolve: (result: Result) => void
  readonly #refused: StoreRequest<Result>['refused']

  constructor(store: StoreRequest<Result>, resolve: (result: Result) => void, reject: (error: unknown) => void) {
    super(store.name, 'writes', reject)
    this.wireKey = store.wireKey
    this.mode = store.mode
    this.bytes = store.bytes
    this.clientFlags = store.clientFlags
    this.exptime = store.exptime
    this.conditions = store.conditions ?? NONE
    this.#build = store.build
    this.#resolve = resolve
    this.#refused = store.refused
  }

  override get sendsValue(): boolean {
    return true
  }

  /** Fails the operation; a refusal is reported even if the caller has given up. */
  override fail(error: unknown): void {
    if (error instanceof MemcacheTooLargeError) this.#refused?.(this, error.server)
    super.fail(error)
  }

  finish(status: StoreStatus, casUnique: Uint64): void {
    if (this.settle()) this.#resolve(this.#build(status, casUnique))
  }
}

/** The outcomes of a delete. */
export type DeleteStatus = 'deleted' | 'exists' | 'notFound'

/** A request to delete an item, mark it stale or empty it. */
export interface DeleteRequest {
  readonly compareCas?: Uint64 | undefined
  readonly newCas?: Uint64 | undefined
  readonly invalidate?: boolean | undefined
  readonly removeValue?: boolean | undefined
  readonly exptime?: number | undefined
}

/** A request, and its key. The request is not copied: V8 takes a microsecond for that. */
interface KeyedRequest<Request> {
  readonly wireKey: WireKey
  /** The key, for errors. */
  readonly name: string
  readonly request: Request
}

/** A delete, or an invalidation. */
export class DeleteOperation extends Operation {
  readonly kind = 'delete'
  readonly wireKey: WireKey
  readonly request: DeleteRequest
  readonly #resolve: (status: DeleteStatus) => void

  constructor(
    { wireKey, name, request }: KeyedRequest<DeleteRequest>,
    resolve: (status: DeleteStatus) => void,
    reject: (error: unknown) => void,
  ) {
    super(name, 'writes', reject)
    this.wireKey = wireKey
    this.request = request
    this.#resolve = resolve
  }

  finish(status: DeleteStatus): void {
    if (this.settle()) this.#resolve(status)
  }
}

/** The amount that is added to a counter, or subtracted from it. */
export interface ArithmeticRequest {
  readonly mode: 'incr' | 'decr'
  readonly delta: Uint64
  /** Whether the response has the cas unique and the time to live besides the value. */
  readonly details: boolean
  readonly initial?: Uint64 | undefined
  readonly vivifyExptime?: number | undefined
  readonly exptime?: number | undefined
  readonly compareCas?: Uint64 | undefined
  readonly newCas?: Uint64 | undefined
}

/** A counter as the server left it; `undefined` digits are a miss. */
export interface CounterResponse {
  readonly digits: string | undefined
  readonly casUnique: bigint
  readonly ttlSeconds: number
}

/** The maximum number of digits of a number of 64 bits; spaces may follow to the length of an earlier value. */
export const MAX_COUNTER_BYTES = 20
const MAX_COUNTER = 2n ** 64n - 1n

/**
 * Returns the digits of a counter in a response; `undefined` if it is not a number of 64 bits. A decremented number
 * keeps its length: spaces follow it.
 */
export function counterDigits(text: string): string | undefined {
  const digits = text.trimEnd()
  const isNumber = digits.length <= MAX_COUNTER_BYTES && /^\d+$/.test(digits)
  return isNumber && (digits.length < MAX_COUNTER_BYTES || BigInt(digits) <= MAX_COUNTER) ? digits : undefined
}

export const NO_COUNTER: CounterResponse = { digits: undefined, casUnique: 0n, ttlSeconds: 0 }

/** Counting up or down. */
export class ArithmeticOperation extends Operation {
  readonly kind = 'arithmetic'
  readonly wireKey: WireKey
  readonly request: ArithmeticRequest
  /** The value's digits, until the response is complete. */
  digits: string | undefined
  /** The number of response lines that have not been received yet. */
  linesLeft = 1
  readonly #resolve: (response: CounterResponse) => void

  constructor(
    { wireKey, name, request }: KeyedRequest<ArithmeticRequest>,
    resolve: (response: CounterResponse) => void,
    reject: (error: unknown) => void,
  ) {
    super(name, 'writes', reject)
    this.wireKey = wireKey
    this.request = request
    this.#resolve = resolve
  }

  finish(response: CounterResponse): void {
    if (this.settle()) this.#resolve(response)
  }
}
