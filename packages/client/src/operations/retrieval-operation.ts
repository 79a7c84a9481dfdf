import { MemcacheDecodeError } from 'memcache-ts-protocol'
import type { Uint64 } from 'memcache-ts-protocol'
import { CallDeadline } from '../call-deadline.ts'
import { ValueInChunks } from '../values/chunked-values.ts'
import { LENT } from '../values/value-codec.ts'
import type { ValueReader } from '../values/value-codec.ts'
import { decodeError } from '../errors.ts'
import type { ItemResponse } from './item-response.ts'
import { Operation, readValue } from './operation.ts'
import type { WireKey } from '../client-key.ts'

/** The parts of one item that a request asks for. */
export interface RetrievalRequest {
  /** Whether the value is requested; without the value and with a `touchExptime`, the request is a `touch`. */
  readonly value: boolean
  /** Whether the cas unique is requested. */
  readonly casUnique?: boolean
  /** Whether size, time to live and the right to recache are requested. */
  readonly details?: boolean
  /** Whether the times of earlier accesses are requested. */
  readonly access?: boolean
  readonly noBump?: boolean
  readonly touchExptime?: number | undefined
  readonly vivifySeconds?: number | undefined
  readonly recacheSeconds?: number | undefined
  readonly newCas?: Uint64 | undefined
  readonly compareCas?: Uint64 | undefined
  /** Whether a value that cannot be decoded is an error or a miss. Default: the reader's `unreadable`. */
  readonly unreadable?: 'error' | 'miss' | undefined
}

/** A request for an item, and the function that makes the result from its response. */
export interface Retrieval<Result> {
  readonly wireKey: WireKey
  /** The key, for errors. */
  readonly name: string
  readonly request: RetrievalRequest
  readonly reader: ValueReader
  /** Makes the result from the response; if it throws, the operation fails. */
  readonly build: (item: ItemResponse, value: unknown) => Result
}

/** The retrieval of one item, or of its metadata. */
export class RetrievalOperation<Result = unknown> extends Operation {
  readonly kind = 'retrieval'
  readonly wireKey: WireKey
  readonly request: RetrievalRequest
  readonly #reader: ValueReader
  readonly #build: (item: ItemResponse, value: unknown) => Result
  readonly #resolve: (result: Result | Promise<Result>) => void
  #value: unknown

  constructor(
    { wireKey, name, request, reader, build }: Retrieval<Result>,
    resolve: (result: Result | Promise<Result>) => void,
    reject: (error: unknown) => void,
  ) {
    const writes = request.touchExptime !== undefined || request.vivifySeconds !== undefined
    super(name, writes ? 'writes' : 'reads', reject)
    // A request with details may have taken the right to recache a stale item.
    if (request.recacheSeconds !== undefined || request.details === true) this.mayRepeat = false
    this.wireKey = wireKey
    this.request = request
    this.#reader = reader
    this.#build = build
    this.#resolve = resolve
  }

  /** Returns whether reading a value with these client flags copies its bytes. */
  copiesValue(clientFlags: number): boolean {
    return this.#reader.copies?.(clientFlags) === true
  }

  /** Takes the value's bytes from the received memory. An unfilled lease has no value. */
  take(item: ItemResponse, buffer: Buffer, start: number, end: number, owned: boolean): void {
    if (this.settled || isLease(item, end - start)) return
    try {
      this.#value = readValue(this.#reader, buffer, start, end, item.clientFlags, owned)
    } catch (error) {
      this.#unreadable(error)
    }
  }

  /** Takes an empty value with client flags 0 that may be an unfilled lease, since the protocol does not report leases. */
  takeUncertain(item: ItemResponse, buffer: Buffer, at: number): void {
    if (this.#reader.takesEmptyForLease === true) return
    this.take(item, buffer, at, at, LENT)
  }

  finish(item: ItemResponse): void {
    if (this.settled) return
    try {
      const value = this.#value
      this.#value = undefined
      const result = this.#build(item, value)
      if (this.settle()) this.#resolve(value instanceof ValueInChunks ? this.#gather(value, result) : result)
    } catch (error) {
      this.fail(error)
    }
  }

  /** Returns the result of a value in chunks when they have been fetched; if a chunk is missing, it is a miss. */
  async #gather(value: ValueInChunks, result: Result): Promise<Result> {
    if (!holds(result, value)) return result
    try {
      const whole = await value.gather(CallDeadline.of(this), this.request.touchExptime)
      if (whole === undefined || (result as unknown) === value) return whole as Result
      return { ...result, value: whole }
    } catch (error) {
      if (!(error instanceof MemcacheDecodeError)) throw error
      if (this.#isMiss) return undefined as Result
      throw decodeError(error, this.key)
    }
  }

  get #isMiss(): boolean {
    return (this.request.unreadable ?? this.#reader.unreadable) === 'miss'
  }

  /** Settles the operation whose stored value cannot be decoded. */
  #unreadable(error: unknown): void {
    if (!this.#isMiss) this.fail(decodeError(error, this.key))
    else if (this.settle()) this.#resolve(undefined as Result)
  }
}

/** Returns whether a result is the value, or an object that contains it. */
function holds(result: unknown, value: unknown): boolean {
  return result === value || (result as { value?: unknown } | undefined)?.value === value
}

/** Returns whether a response is that of an unfilled lease: empty, without client flags, and promised to a caller. */
function isLease(item: ItemResponse, bytes: number): boolean {
  return bytes === 0 && item.size === 0 && item.clientFlags === 0 && (item.won || item.lost)
}
