import { MetaCode } from 'memcache-ts-protocol'
import type { MetaReply, Uint64 } from 'memcache-ts-protocol'
import type { ValueReader } from '../values/value-codec.ts'
import { decodeError } from './decode-error.ts'
import { Operation, OperationKind } from './operation.ts'
import type { WireKey } from './operation.ts'

/** What is asked of one item. */
export interface RetrievalRequest {
  /** Whether its value is wanted; without it and with a `touchExptime` it is a `touch`. */
  readonly value: boolean
  /** Whether its cas unique is wanted. */
  readonly casUnique?: boolean
  /** Whether all else that is known of it is wanted: size, time to live, who may recache it. */
  readonly details?: boolean
  /** Whether it is wanted if and when it was accessed. */
  readonly access?: boolean
  readonly noBump?: boolean
  readonly touchExptime?: number | undefined
  readonly vivifySeconds?: number | undefined
  readonly recacheSeconds?: number | undefined
  readonly newCas?: Uint64 | undefined
}

/** One item, or what is known of it. */
export class RetrievalOperation<Result = unknown> extends Operation {
  readonly kind = OperationKind.retrieval
  readonly wireKey: WireKey
  readonly request: RetrievalRequest
  readonly #reader: ValueReader
  readonly #build: (reply: MetaReply, value: unknown) => Result
  readonly #resolve: (result: Result) => void
  #value: unknown

  /** @param build makes the result of the answer; what it throws fails the operation. */
  constructor(
    wireKey: WireKey,
    request: RetrievalRequest,
    key: string,
    reader: ValueReader,
    build: (reply: MetaReply, value: unknown) => Result,
    resolve: (result: Result) => void,
    reject: (error: unknown) => void,
  ) {
    super(key, request.touchExptime !== undefined || request.vivifySeconds !== undefined, reject)
    // What is asked with the details may have taken the right to recache a stale item.
    if (request.recacheSeconds !== undefined || request.details === true) this.mayRepeat = false
    this.wireKey = wireKey
    this.request = request
    this.#reader = reader
    this.#build = build
    this.#resolve = resolve
  }

  /** Takes the value's bytes, where they lie; those of a lease that nobody has filled are no value. */
  take(reply: MetaReply, buffer: Buffer, start: number, end: number, owned: boolean): void {
    if (this.settled || isStub(reply)) return
    try {
      this.#value = this.#reader.read(buffer, start, end, reply.clientFlags, owned)
      // Where the caller gives up meanwhile, nobody else hears of the chunks' fate.
      if (this.#value instanceof Promise) this.#value.catch(() => {})
    } catch (error) {
      this.fail(decodeError(error, this.key))
    }
  }

  finish(reply: MetaReply): void {
    if (this.settled) return
    try {
      const result = this.#build(reply, this.#value)
      if (this.settle()) this.#resolve(this.#value instanceof Promise ? whole(result) : result)
    } catch (error) {
      this.fail(error)
    }
  }
}

/** A result that holds the promise of a value in chunks, once it has come; chunks that are not all there are a miss. */
function whole<Result>(result: Result): Result {
  const { value } = (result ?? {}) as { value?: unknown }
  if (!(value instanceof Promise)) return result
  return value.then((given: unknown) => (given === undefined ? undefined : { ...result, value: given })) as Result
}

/** Whether an answer is that of an item that a lease made and nobody has filled: empty, without flags, and promised. */
function isStub(reply: MetaReply): boolean {
  return reply.valueLength <= 0 && reply.size === 0 && reply.clientFlags === 0 && (reply.won || reply.lost)
}

/** Whether there was an item. */
export function isFound(reply: MetaReply): boolean {
  return reply.code !== MetaCode.EN
}
