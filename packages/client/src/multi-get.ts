import type { ItemResponse } from './operations/item-response.ts'
import { kindOf, MemcacheOptionError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import { asMemcacheError, readValueOf } from './errors.ts'
import { checkCall, deadlineOf, reasonOf, startCall } from './call-deadline.ts'
import type { StepOptions } from './call-deadline.ts'
import type { CallOptions, ClientKey } from './call-options.ts'
import type { Connection } from './connection/connection.ts'
import type { Dispatcher, ServerPool } from './dispatcher.ts'
import { nameOf, nameOrKindOf } from './client-key.ts'
import type { KeyOrder } from './key-order.ts'
import { KEYS_PER_REQUEST } from './operations/key-list-operation.ts'
import { MultiGetOperation } from './operations/multi-get-operation.ts'
import type { HitDetails, MultiGetSink } from './operations/multi-get-operation.ts'
import { MultiResult } from './call-results.ts'
import type { WireKey } from './client-key.ts'
import { RetrievalOperation } from './operations/retrieval-operation.ts'
import type { ValueReader } from './values/value-codec.ts'

/** The parts of a hit that are read, and how they become a result. */
export interface MultiGetShape<Result> {
  readonly reader: ValueReader
  /** Whether the cas uniques are requested. */
  readonly withCas: boolean
  /** Makes the result; without it, the result is the value. */
  build?(value: unknown, clientFlags: number, casUnique: bigint): Result
}

/** A request for some of the keys: its server, and its end. */
interface Request<Given> {
  readonly pool: ServerPool
  readonly given: readonly Given[]
  readonly done: Promise<unknown>
}

/** The keys that one request reads. */
class Batch<Given extends ClientKey> implements Request<Given> {
  readonly pool: ServerPool
  readonly connection: Connection
  /** Whether the batch accepts any key of the server, and not only keys of its own connection. */
  readonly takesAll: boolean
  readonly operation: MultiGetOperation<Given>
  readonly given: readonly Given[]
  readonly done: Promise<unknown>

  /** @param first the key that decides the connection of the request, if there are several. */
  constructor(call: MultiGetCall<Given, unknown>, pool: ServerPool, first: WireKey) {
    let operation!: MultiGetOperation<Given>
    this.done = new Promise((resolve, reject) => {
      operation = new MultiGetOperation(call, resolve, reject)
    })
    operation.withCas = call.shape.withCas
    // The keys of a group share a connection, which keeps their order.
    const connection = call.options?.groupKey === undefined ? pool.forAll(first) : undefined
    this.pool = pool
    this.takesAll = connection !== undefined
    this.connection = connection ?? pool.for(first)
    this.operation = operation
    this.given = operation.given
  }

  takes(pool: ServerPool, routed: WireKey): boolean {
    if (this.pool !== pool || this.operation.wireKeys.length >= KEYS_PER_REQUEST) return false
    return this.takesAll || this.connection === pool.for(routed)
  }
}

/**
 * Reads many keys in as few requests as the order of calls allows. A key belongs to one connection of its server, but
 * one request for all keys of a server costs a fifth less than one request per connection. Therefore, if no write is
 * under way on a key's own connection, the key may be read by another one, and a write on the key waits for such a read
 * (`BorrowedReads`).
 */
export class MultiGet {
  readonly #dispatcher: Dispatcher
  readonly #order: KeyOrder
  readonly #timeoutMs: number

  /** @param timeoutMs the time limit of calls that have none of their own. */
  constructor(dispatcher: Dispatcher, order: KeyOrder, timeoutMs: number) {
    this.#dispatcher = dispatcher
    this.#order = order
    this.#timeoutMs = timeoutMs
  }

  /** Returns the hits. Rejects only if all requests failed. */
  async get<Given extends ClientKey, Result>(
    keys: readonly Given[],
    options: CallOptions | undefined,
    shape: MultiGetShape<Result>,
  ): Promise<MultiResult<Given, Result>> {
    checkCall(options)
    const readAgain = (given: Given): Promise<void> =>
      this.#readOne(call, { given, wireKey: this.#dispatcher.wireKey(given), isExact: true })
    const call = new MultiGetCall({ keys, options, shape, readAgain })
    const requests = readValueOf('the keys', () => this.#sendAll(call))
    let failures = 0
    const settle = async ({ pool, given, done }: Request<Given>): Promise<void> => {
      try {
        await done
      } catch (error) {
        if (options?.signal?.aborted === true) throw error
        call.serverFailed(pool.address.name, given, asMemcacheError(error))
        failures++
      }
    }
    await (requests.length === 1 ? settle(requests[0]!) : Promise.all(requests.map(settle)))
    if (options?.signal?.aborted === true && call.wasAborted) throw reasonOf(options.signal)
    const { result } = call
    const nothingCame = failures === requests.length && result.hasErrors
    if (nothingCame) throw result.errors.values().next().value!
    return result
  }

  /** Sends the requests for the keys. Each key that is bytes has a request of its own. */
  #sendAll<Given extends ClientKey, Result>(call: MultiGetCall<Given, Result>): Request<Given>[] {
    const { options } = call
    const dispatcher = this.#dispatcher
    const order = this.#order
    const server = options?.server
    const requests: Request<Given>[] = []
    const batches: Batch<Given>[] = []
    let batch: Batch<Given> | undefined
    if (!Array.isArray(call.keys)) throw new MemcacheOptionError(`the keys must be an array, got ${kindOf(call.keys)}`)
    for (const key of call.keys) {
      const wireKey = this.#wireKeyOf(key, call)
      if (wireKey === undefined) continue
      const routed = dispatcher.routedBy(wireKey, options)
      const pool = dispatcher.poolOf(routed, server)
      if (typeof wireKey !== 'string' || order.isBusy(wireKey)) {
        requests.push({ pool, given: [key], done: this.#readAlone(key, wireKey, call) })
        continue
      }
      if (batch === undefined || !batch.takes(pool, routed)) {
        batch = batches.find((begun) => begun.takes(pool, routed))
        if (batch === undefined) {
          batch = new Batch(call, pool, routed)
          batches.push(batch)
          requests.push(batch)
        }
      }
      batch.operation.add(wireKey, key)
    }
    for (const begun of batches) this.#send(begun, options)
    return requests
  }

  #send<Given extends ClientKey>(batch: Batch<Given>, options: StepOptions | undefined): void {
    const { operation, connection, pool, takesAll } = batch
    try {
      this.#dispatcher.sendBy(connection, operation, options)
      const mayBorrow = takesAll && pool.size > 1 && operation.wireKeys.length > 1
      if (mayBorrow) this.#order.borrowed(operation.wireKeys, batch.done)
    } catch (error) {
      operation.fail(error)
    }
  }

  /** Returns the key as it is sent. An invalid key is reported in the errors, and does not affect the others. */
  #wireKeyOf<Given extends ClientKey>(key: Given, call: MultiGetCall<Given, unknown>): WireKey | undefined {
    try {
      return this.#dispatcher.wireKey(key)
    } catch (error) {
      call.failed(key, error)
      return undefined
    }
  }

  /** Reads a key by a separate request, after the earlier calls on the key. */
  #readAlone<Given extends ClientKey>(
    key: Given,
    wireKey: WireKey,
    call: MultiGetCall<Given, unknown>,
  ): Promise<unknown> {
    const ask = (): Promise<void> => this.#readOne(call, { given: key, wireKey, isExact: false })
    if (!this.#order.isBusy(wireKey)) return ask()
    return new Promise((resolve, reject) => {
      const deadline = deadlineOf(startCall(call.options, this.#timeoutMs))!
      this.#order.after(wireKey, deadline, { begin: () => resolve(ask()), reject })
    })
  }

  #readOne<Given extends ClientKey>(
    call: MultiGetCall<Given, unknown>,
    { given, wireKey, isExact }: SingleKey<Given>,
  ): Promise<void> {
    const { options, reader, shape } = call
    const request = { value: true, casUnique: shape.withCas, details: isExact }
    return new Promise<Hit | undefined>((resolve, reject) => {
      const operation = new RetrievalOperation(
        { wireKey, name: nameOf(given), request: { ...request, unreadable: 'error' }, reader, build: hitOf },
        resolve,
        reject,
      )
      this.#dispatcher.send(operation, wireKey, options)
    }).then((hit) => {
      if (hit !== undefined) call.hit(given, hit.value, hit)
    })
  }
}

/** A key that is read by a separate request. */
interface SingleKey<Given> {
  readonly given: Given
  readonly wireKey: WireKey
  /** Whether a meta command is used, which distinguishes an unfilled lease from an empty value. */
  readonly isExact: boolean
}

interface Hit extends HitDetails {
  readonly value: unknown
}

/** Returns a hit's value in an object, since the value may be a stored `undefined`. An unfilled lease is a miss. */
function hitOf(item: ItemResponse, value: unknown): Hit | undefined {
  const isUnfilled = value === undefined && (item.won || item.lost) && item.size === 0
  if (!item.isFound || isUnfilled) return undefined
  return { value, clientFlags: item.clientFlags, casUnique: item.casUnique.toBigInt() }
}

/** The request of one caller, and its results. */
class MultiGetCall<Given extends ClientKey, Result> implements MultiGetSink<Given> {
  readonly keys: readonly Given[]
  readonly options: StepOptions | undefined
  readonly reader: ValueReader
  readonly shape: MultiGetShape<Result>
  readonly result = new MultiResult<Given, Result>()
  readonly readAgain: (given: Given) => Promise<void>
  wasAborted = false

  constructor(call: Pick<MultiGetCall<Given, Result>, 'keys' | 'options' | 'shape' | 'readAgain'>) {
    this.keys = call.keys
    this.options = call.options
    this.reader = call.shape.reader
    this.shape = call.shape
    this.readAgain = call.readAgain
  }

  hit(given: Given, value: unknown, { clientFlags, casUnique }: HitDetails): void {
    const { shape } = this
    this.result.set(given, shape.build === undefined ? (value as Result) : shape.build(value, clientFlags, casUnique))
  }

  failed(given: Given, error: unknown): void {
    if (this.options?.signal?.aborted === true) this.wasAborted = true
    const { unreadable = this.reader.unreadable } = this.options ?? {}
    const fault = asMemcacheError(error)
    if (unreadable === 'miss' && fault.code === 'ERR_MEMCACHE_DECODE') return
    this.result.keyErrors.set(given, fault)
    this.result.errors.set(nameOrKindOf(given), fault)
  }

  serverFailed(server: string, keys: readonly Given[], error: MemcacheError): void {
    this.result.errors.set(server, error)
    for (const key of keys) this.result.keyErrors.set(key, error)
  }
}
