import type { RetrievalRequest } from './operations/retrieval-operation.ts'
import type { ItemResponse } from './operations/item-response.ts'
import {
  ClientFlags,
  exptimeOf,
  LongTimer,
  MAX_RELATIVE_EXPTIME_SECONDS,
  MemcacheError,
  ttlToSeconds,
} from 'memcache-ts-protocol'
import type { Clock, Ttl, Uint64 } from 'memcache-ts-protocol'
import { checkCall, CallDeadline, startCall } from './call-deadline.ts'
import type { StepOptions } from './call-deadline.ts'
import type { CallOptions, ClientKey } from './call-options.ts'
import { isBytes, nameOf } from './client-key.ts'
import { Chunks, ROUND } from './chunks.ts'
import type { Dispatcher } from './dispatcher.ts'
import { ItemLimits } from './item-limits.ts'
import { fragmentOf, Joins } from './joins.ts'
import type { Join } from './joins.ts'
import { KeyOrder } from './key-order.ts'
import { MultiGet } from './multi-get.ts'
import type { MultiGetShape } from './multi-get.ts'
import { ArithmeticOperation, DeleteOperation, StoreOperation } from './operations/write-operations.ts'
import type {
  ArithmeticRequest,
  CounterResponse,
  DeleteRequest,
  DeleteStatus,
  StoreConditions,
  StoreMode,
  StoreRequest,
  StoreStatus,
} from './operations/write-operations.ts'
import type { GetCall, GetReading } from './operations/key-list-operation.ts'
import { LinesOperation } from './operations/lines-operation.ts'
import type { LinesRequest } from './operations/lines-operation.ts'
import type { MultiResult } from './call-results.ts'
import type { WireKey } from './client-key.ts'
import type { Operation } from './operations/operation.ts'
import { RetrievalOperation } from './operations/retrieval-operation.ts'
import type { ResolvedClientOptions } from './options.ts'
import { LIST } from './values/chunk-list.ts'
import type { ChunkList } from './values/chunk-list.ts'
import { ChunkedValues } from './values/chunked-values.ts'
import type { EncodedValue, ValueReader } from './values/value-codec.ts'

const MAX_EXPTIME = 2 ** 31 - 1
/** The time limit after `close()` of calls with several steps that have no limit of their own. */
const FINISH_LIMIT_MS = 5000

/** Besides its chunks, a value in chunks has a list, which is read before it is replaced or deleted. */
const LIST_OPERATIONS = 2

/** A value to be stored, before it is encoded. */
type Storing<Result> = Omit<StoreRequest<Result>, 'bytes' | 'clientFlags' | 'refused'>

/** The parameters of a store. */
interface StoreParameters<Result> {
  readonly mode: StoreMode
  /** The lifetime; without it, the item does not expire. */
  readonly ttl?: Ttl | undefined
  readonly conditions?: StoreConditions | undefined
  readonly options: CallOptions | undefined
  /** Makes the result; the cas unique is valid only during the call, and zero if the server does not report it. */
  readonly build: (status: StoreStatus, casUnique: Uint64) => Result
}

/** The parts of an item that are requested, and how they become a result. */
interface RetrievalParameters<Result> extends RetrievalRequest {
  /** Reads the value. Default: the client's values. */
  readonly reader?: ValueReader
  /** Makes the result from the response. */
  readonly build: (item: ItemResponse, value: unknown) => Result
}

/** How a call that waits for its turn is sent, or fails without having been sent. */
interface WaitingStep {
  readonly send: (step: StepOptions | undefined) => void
  readonly reject: (error: unknown) => void
}

/** The primitive commands; the text and meta APIs are built on these. */
export class Commands {
  readonly #dispatcher: Dispatcher
  readonly #values: ChunkedValues
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #order = new KeyOrder()
  readonly #multiGet: MultiGet
  readonly #chunks: Chunks
  readonly #joins: Joins
  readonly #limits: ItemLimits
  readonly #gets: GetReading
  /** For `getMulti`: the values without their cas uniques. */
  readonly #bare: MultiGetShape<unknown>

  constructor(dispatcher: Dispatcher, options: ResolvedClientOptions) {
    const { clock, timeoutMs, itemMaxBytes } = options
    this.#dispatcher = dispatcher
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#multiGet = new MultiGet(dispatcher, this.#order, timeoutMs)
    const chunks = new Chunks(dispatcher, this.#multiGet, timeoutMs)
    this.#chunks = chunks
    this.#values = new ChunkedValues(options, (list, call, exptime) => chunks.fetch(list, call, exptime))
    this.#gets = { reader: this.#values, again: (call) => this.#getExactly(call) }
    this.#bare = { reader: this.#values, withCas: false }
    this.#joins = new Joins(dispatcher, this.#values, timeoutMs)
    this.#limits = new ItemLimits(dispatcher, itemMaxBytes, timeoutMs)
  }

  /** The number of operations that a write of one key may have under way. */
  get operationsPerKey(): number {
    return this.#values.makesChunks ? ROUND + LIST_OPERATIONS : 1
  }

  /** Returns a value; a miss is `undefined`. */
  get<Value>(key: ClientKey, options: CallOptions | undefined): Promise<Value | undefined> {
    if (typeof key !== 'string' && isBytes(key))
      return this.retrieve(key, { value: true, build: valueOf<Value> }, options)
    if (this.#order.isIdle) return this.#dispatcher.get(key, options, this.#gets)
    return new Promise((resolve, reject) => {
      checkCall(options)
      const wireKey = this.#dispatcher.wireKey(key)
      const send = (step: StepOptions | undefined): void => resolve(this.#dispatcher.get(key, step, this.#gets))
      if (this.#order.isBusy(wireKey)) this.#inOrder(wireKey, options, { send, reject })
      else send(options)
    })
  }

  /** Returns the caller's result for an item. */
  retrieve<Result>(
    key: ClientKey,
    parameters: RetrievalParameters<Result>,
    options: CallOptions | undefined,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      checkCall(options)
      const wireKey = this.#dispatcher.wireKey(key)
      const { unreadable } = options ?? {}
      const request = unreadable === undefined ? parameters : { ...parameters, unreadable }
      const { reader = this.#values, build } = parameters
      const name = nameOf(key)
      const operation = new RetrievalOperation({ wireKey, name, request, reader, build }, resolve, reject)
      this.#send(operation, wireKey, options)
    })
  }

  /** Returns the hits among many keys, from all servers that respond, in one round trip each. */
  getMulti<Value, Given extends ClientKey>(
    keys: readonly Given[],
    options: CallOptions | undefined,
  ): Promise<MultiResult<Given, Value>> {
    return this.#multiGet.get<Given, Value>(keys, options, this.#bare as MultiGetShape<Value>)
  }

  /** Returns the caller's result for each hit; see `getMulti`. */
  getsMulti<Given extends ClientKey, Result>(
    keys: readonly Given[],
    options: CallOptions | undefined,
    build: NonNullable<MultiGetShape<Result>['build']>,
  ): Promise<MultiResult<Given, Result>> {
    return this.#multiGet.get(keys, options, { reader: this.#values, withCas: true, build })
  }

  /** Stores a value, and returns the caller's result; a value over the chunks' size is stored in chunks. */
  store<Result>(key: ClientKey, value: unknown, parameters: StoreParameters<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const { mode, ttl, conditions, options, build } = parameters
      checkCall(options)
      const wireKey = this.#dispatcher.wireKey(key)
      const name = nameOf(key)
      const exptime = ttl === undefined ? 0 : this.exptime(ttl)
      const joins = mode === 'append' || mode === 'prepend'
      if (joins) {
        resolve(this.#join({ wireKey, name, mode, exptime, conditions, build }, value, options))
        return
      }
      const encoded = this.#values.encode(value)
      const { bytes, clientFlags } = encoded
      const isLarge = this.#values.isLarge(bytes)
      const limits = this.#limits
      const { refused } = limits
      const store = { wireKey, name, mode, bytes, clientFlags, exptime, conditions, build, refused }
      if (!isLarge && (!limits.mayExceed(wireKey, bytes, clientFlags) || limits.isChecked(store, options))) {
        this.#send(new StoreOperation(store, resolve, reject), wireKey, options)
        return
      }
      const storing: Storing<Result> = { wireKey, name, mode, exptime, conditions, build }
      resolve(isLarge ? this.#storeInChunks(storing, encoded, options) : this.#storeChecked(storing, encoded, options))
    })
  }

  /** Sets the lifetime of an item and of its chunks; returns whether there was an item. */
  async touch(key: ClientKey, exptime: number, options: CallOptions | undefined): Promise<boolean> {
    const parameters = { value: false, touchExptime: exptime, build: isFound }
    return (await this.retrieveAndTouch(key, parameters, options)) === true
  }

  /**
   * Sets the lifetime of an item and of its chunks; returns the caller's result for the item, without its value. If a
   * chunk is missing, it is a miss: `undefined`.
   */
  async retrieveAndTouch<Result>(
    key: ClientKey,
    parameters: RetrievalParameters<Result> & { readonly touchExptime: number },
    options: CallOptions | undefined,
  ): Promise<Result | undefined> {
    const step = startCall(options, this.#timeoutMs)
    // If chunks are enabled, the list is read by the same request, so that no other call can come between.
    const value = this.#values.makesChunks || parameters.value
    let list: ChunkList | undefined
    let clientFlags = 0
    const build = (item: ItemResponse, value: unknown): Result => {
      list = value as ChunkList | undefined
      clientFlags = item.isFound ? item.clientFlags : 0
      return parameters.build(item, undefined)
    }
    const result = await this.retrieve(key, { ...parameters, value, reader: LIST, build }, step)
    if (clientFlags !== ClientFlags.chunks) return result
    list ??= await this.#chunks.listOf(this.#dispatcher.wireKey(key), step)
    const isWhole = list !== undefined && (await this.#chunks.touch(list, parameters.touchExptime, step))
    return isWhole ? result : undefined
  }

  /** Deletes an item, marks it stale or empties it; the chunks of a deleted value are removed. */
  delete(key: ClientKey, request: DeleteRequest, options: CallOptions | undefined): Promise<DeleteStatus> {
    return new Promise((resolve, reject) => {
      checkCall(options)
      const wireKey = this.#dispatcher.wireKey(key)
      const named = { wireKey, name: nameOf(key), request }
      const removes = this.#values.makesChunks && (request.invalidate !== true || request.removeValue === true)
      if (!removes) {
        this.#send(new DeleteOperation(named, resolve, reject), wireKey, options)
        return
      }
      const send = (step: StepOptions | undefined): void => {
        // Both requests are sent together, so the list is that of the deleted value unless another client intervenes.
        const list = this.#chunks.listOf(wireKey, { ...step, signal: undefined })
        const remove = (): void => void list.then((found) => found && this.#chunks.remove(found))
        const deleted = (status: DeleteStatus): void => {
          if (status === 'deleted') remove()
          resolve(status)
        }
        this.#dispatcher.send(new DeleteOperation(named, deleted, reject), wireKey, step)
      }
      if (this.#order.isBusyForWrite(wireKey)) this.#inOrder(wireKey, options, { send, reject })
      else send(options)
    })
  }

  count(key: ClientKey, request: ArithmeticRequest, options: CallOptions | undefined): Promise<CounterResponse> {
    return new Promise((resolve, reject) => {
      checkCall(options)
      const wireKey = this.#dispatcher.wireKey(key)
      const operation = new ArithmeticOperation({ wireKey, name: nameOf(key), request }, resolve, reject)
      this.#send(operation, wireKey, options)
    })
  }

  /** Changes a counter, and creates it if it is missing. */
  async countOrMake(
    key: ClientKey,
    request: ArithmeticRequest & { readonly initial: Uint64; readonly vivifyExptime: number },
    options: CallOptions | undefined,
  ): Promise<CounterResponse> {
    const counted = await this.count(key, request, options)
    if (counted.digits !== undefined) return counted
    // Without meta commands, another client may create the counter at the same time; then it exists.
    const { initial: _, vivifyExptime: __, ...plain } = request
    return this.count(key, plain, options)
  }

  // Calls of several steps

  /** Sends a call of one step, after the earlier calls on its key. */
  #send(operation: Operation, wireKey: WireKey, options: CallOptions | undefined): void {
    const isBusy = operation.writes ? this.#order.isBusyForWrite(wireKey) : this.#order.isBusy(wireKey)
    if (!isBusy) {
      this.#dispatcher.send(operation, wireKey, options)
      return
    }
    this.#inOrder(wireKey, options, {
      send: (step) => this.#dispatcher.send(operation, wireKey, step),
      reject: (error) => operation.fail(error),
    })
  }

  /** Sends a request after the earlier calls on its key, which is busy. */
  #inOrder(wireKey: WireKey, options: CallOptions | undefined, { send, reject }: WaitingStep): void {
    const step = startCall(options, this.#timeoutMs)
    this.#order.after(wireKey, step.deadline!, { begin: () => send(step), reject })
  }

  #storeStep<Result>(store: Storing<Result> & EncodedValue, step: StepOptions): Promise<Result> {
    return new Promise((resolve, reject) => {
      const { refused } = this.#limits
      this.#dispatcher.send(new StoreOperation({ ...store, refused }, resolve, reject), store.wireKey, step)
    })
  }

  /** Stores a value that may be over the item limit. */
  #storeChecked<Result>(
    storing: Storing<Result>,
    encoded: EncodedValue,
    options: CallOptions | undefined,
  ): Promise<Result> {
    const step = startCall(options, this.#timeoutMs)
    return this.#order.alone(storing.wireKey, step.deadline!, async () => {
      await this.#limits.check({ ...encoded, wireKey: storing.wireKey }, step)
      return this.#storeStep({ ...storing, ...encoded }, step)
    })
  }

  /** Stores a value in chunks: first the chunks, then their list; then the chunks of the replaced value are retired. */
  #storeInChunks<Result>(
    storing: Storing<Result>,
    encoded: EncodedValue,
    options: CallOptions | undefined,
  ): Promise<Result> {
    const step = startCall(options, this.#timeoutMs)
    const cut = this.#values.cut(encoded)
    return this.#order.alone(storing.wireKey, step.deadline!, async () => {
      const list = await this.#chunks.store(cut, storing.exptime, step)
      const replaced = storing.mode === 'add' ? undefined : this.#chunks.listOf(storing.wireKey, step)
      let isStoredNow = false
      const build = (status: StoreStatus, casUnique: Uint64): Result => {
        isStoredNow = status === 'stored'
        return storing.build(status, casUnique)
      }
      try {
        const value = { bytes: list.toBytes(), clientFlags: ClientFlags.chunks }
        const result = await this.#storeStep({ ...storing, ...value, build }, step)
        if (isStoredNow) void replaced?.then((found) => found && this.#chunks.retire(found))
        else this.#chunks.remove(list)
        return result
      } catch (error) {
        // If the list may have been stored despite the error, its chunks are kept.
        if (error instanceof MemcacheError && !error.ambiguous) this.#chunks.remove(list)
        throw error
      }
    })
  }

  #join<Result>(
    storing: Storing<Result> & Pick<Join, 'mode'>,
    value: unknown,
    options: CallOptions | undefined,
  ): Promise<Result> {
    const { wireKey, name, mode, conditions = {} } = storing
    const join = { wireKey, name, mode, fragment: fragmentOf(mode, value), conditions }
    const step = startCall(options, this.#timeoutMs)
    return this.#order.alone(wireKey, step.deadline!, async () => {
      // A server that refuses the fragment would drop the stored value.
      const item = { wireKey, bytes: join.fragment, clientFlags: 0 }
      const limits = this.#limits
      if (limits.mayExceed(wireKey, item.bytes, 0) && !limits.isChecked(item, step)) await limits.check(item, step)
      const { status, casUnique } = await this.#joins.join(join, step)
      return storing.build(status, casUnique)
    })
  }

  /** Resolves when the calls of several steps and the clean-up after calls have ended, or their time limit has passed. */
  async finish(): Promise<void> {
    if (this.#order.isIdle && this.#chunks.isIdle) return
    let limit: LongTimer | undefined
    const late = new Promise<void>((resolve) => (limit = new LongTimer(resolve, FINISH_LIMIT_MS)))
    await Promise.race([this.#whenIdle(), late])
    limit?.clear()
  }

  async #whenIdle(): Promise<void> {
    await this.#order.whenIdle()
    await this.#chunks.whenIdle()
  }

  // Servers

  /** Returns the response of a key's server to a request of lines. */
  lines(
    key: ClientKey,
    request: (wireKey: string | Buffer) => LinesRequest,
    options: CallOptions | undefined,
  ): Promise<string[]> {
    return new Promise((resolve, reject) => {
      checkCall(options)
      const wireKey = this.#dispatcher.wireKey(key)
      const operation = new LinesOperation({ ...request(wireKey), name: nameOf(key) }, resolve, reject)
      this.#send(operation, wireKey, options)
    })
  }

  /** Returns the exptime of a lifetime that begins now. */
  exptime(ttl: Ttl): number {
    return this.exptimeIn(ttlToSeconds(ttl, 'ttl'))
  }

  /** Returns the exptime of this many seconds from now. */
  exptimeIn(seconds: number): number {
    // Most lifetimes are sent as seconds from now, and need no clock.
    const exptime = exptimeOf(seconds, seconds <= MAX_RELATIVE_EXPTIME_SECONDS ? 0 : this.#clock.nowMs())
    // memcached's times have 31 bits: a later time means that the item does not expire.
    return exptime <= MAX_EXPTIME ? exptime : 0
  }

  /** Reads a key by a meta command, which distinguishes an unfilled lease from an empty value. */
  #getExactly(call: GetCall): void {
    const operation = new RetrievalOperation(
      {
        wireKey: call.wireKey,
        name: call.name,
        request: { value: true, details: true, unreadable: call.options?.unreadable },
        reader: this.#values,
        build: valueOf,
      },
      (value) => call.resolve(value),
      (error) => call.fail(error),
    )
    try {
      const step: StepOptions = { ...call.options, deadline: CallDeadline.of(call) }
      this.#dispatcher.send(operation, call.wireKey, step)
    } catch (error) {
      call.fail(error)
    }
  }
}

function valueOf<Value>(item: ItemResponse, value: unknown): Value | undefined {
  return item.isFound ? (value as Value) : undefined
}

function isFound(item: ItemResponse): boolean {
  return item.isFound
}
