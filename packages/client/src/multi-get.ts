import type { MemcacheError, MetaReply } from 'memcache-ts-protocol'
import { asMemcacheError } from './as-memcache-error.ts'
import { deadlineOf, startCall } from './call-deadline.ts'
import type { StepOptions } from './call-deadline.ts'
import type { CallOptions, ClientKey } from './call-options.ts'
import type { Connection } from './connection/connection.ts'
import type { ServerPool } from './connection/server-pool.ts'
import type { Dispatcher } from './dispatcher.ts'
import { nameOf, nameOrKindOf } from './key-name.ts'
import type { KeyOrder } from './key-order.ts'
import { KEYS_PER_REQUEST } from './operations/key-list-operation.ts'
import { MultiGetOperation } from './operations/multi-get-operation.ts'
import type { MultiGetSink } from './operations/multi-get-operation.ts'
import { MultiResult } from './operations/multi-result.ts'
import type { WireKey } from './operations/operation.ts'
import { isFound, RetrievalOperation } from './operations/retrieval-operation.ts'
import type { ValueReader } from './values/value-codec.ts'

/** What is made of each hit. */
export interface MultiGetWish<Result> {
  readonly reader: ValueReader
  /** Whether the cas uniques are wanted. */
  readonly withCas: boolean
  build(value: unknown, clientFlags: number, casUnique: bigint): Result
}

/** A request for some of the keys: where it goes, and how it ends. */
interface Request<Given> {
  readonly pool: ServerPool
  readonly given: readonly Given[]
  readonly answered: Promise<unknown>
}

/** Reads many keys in one request a connection: a key always takes the same one, so that it keeps its order among other calls. */
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

  /** The hits; rejects only when nothing was answered at all. */
  async get<Given extends ClientKey, Result>(
    keys: readonly Given[],
    options: CallOptions | undefined,
    wish: MultiGetWish<Result>,
  ): Promise<MultiResult<Given, Result>> {
    const call = new MultiGetCall(keys, options, wish)
    const requests = this.#ask(call)
    let failures = 0
    const settle = async ({ pool, given, answered }: Request<Given>): Promise<void> => {
      try {
        await answered
      } catch (error) {
        if (options?.signal?.aborted === true) throw error
        call.serverFailed(pool.address.name, given, asMemcacheError(error))
        failures++
      }
    }
    await Promise.all(requests.map(settle))
    if (options?.signal?.aborted === true && call.wasAborted) throw options.signal.reason
    const { result } = call
    const nothingCame = failures === requests.length && result.keyErrors.size > 0
    if (nothingCame) throw result.errors.values().next().value!
    return result
  }

  /** The keys by connection, in requests of a size; keys that are bytes are asked for one by one. */
  #ask<Given extends ClientKey, Result>(call: MultiGetCall<Given, Result>): Request<Given>[] {
    const { options } = call
    const requests: Request<Given>[] = []
    const open = new Map<Connection, MultiGetOperation<Given>>()
    const ready: (() => void)[] = []
    const begin = (pool: ServerPool, wireKey: string): MultiGetOperation<Given> => {
      let operation!: MultiGetOperation<Given>
      const answered = new Promise<Promise<void>[]>((resolve, reject) => {
        operation = this.#operationFor(call, resolve, reject)
        ready.push(() => {
          try {
            this.#dispatcher.sendTo(pool, operation, this.#dispatcher.routedBy(wireKey, options), options)
          } catch (error) {
            reject(error)
          }
        })
      }).then((steps) => Promise.all(steps))
      requests.push({ pool, given: operation.given, answered })
      return operation
    }
    for (const key of call.keys) {
      const wireKey = this.#wireKeyOf(key, call)
      if (wireKey === undefined) continue
      const routed = this.#dispatcher.routedBy(wireKey, options)
      const pool = this.#dispatcher.poolOf(routed, options?.server)
      if (typeof wireKey !== 'string' || this.#order.isBusy(wireKey)) {
        requests.push({ pool, given: [key], answered: this.#askAlone(key, wireKey, call) })
        continue
      }
      const connection = pool.for(routed)
      let operation = open.get(connection)
      if (operation === undefined || operation.wireKeys.length >= KEYS_PER_REQUEST) {
        operation = begin(pool, wireKey)
        open.set(connection, operation)
      }
      operation.add(wireKey, key)
    }
    for (const send of ready) send()
    return requests
  }

  #operationFor<Given extends ClientKey>(
    call: MultiGetCall<Given, unknown>,
    resolve: (steps: Promise<void>[]) => void,
    reject: (error: unknown) => void,
  ): MultiGetOperation<Given> {
    const sink: MultiGetSink<Given> = {
      hit: (given, value, clientFlags, casUnique) => call.hit(given, value, clientFlags, casUnique),
      failed: (given, error) => call.failed(given, error),
      askAgain: (given) => this.#askOne(given, this.#dispatcher.wireKey(given), call, true),
    }
    const operation = new MultiGetOperation(sink, call.wish.reader, resolve, reject)
    operation.withCas = call.wish.withCas
    return operation
  }

  /** A key that cannot be costs the others nothing. */
  #wireKeyOf<Given extends ClientKey>(key: Given, call: MultiGetCall<Given, unknown>): WireKey | undefined {
    try {
      return this.#dispatcher.wireKey(key)
    } catch (error) {
      call.failed(key, error)
      return undefined
    }
  }

  /** A key by a request of its own, after the earlier calls on it. */
  #askAlone<Given extends ClientKey>(
    key: Given,
    wireKey: WireKey,
    call: MultiGetCall<Given, unknown>,
  ): Promise<unknown> {
    const ask = (): Promise<void> => this.#askOne(key, wireKey, call, false)
    if (!this.#order.isBusy(wireKey)) return ask()
    return new Promise((resolve, reject) => {
      const deadline = deadlineOf(startCall(call.options, this.#timeoutMs))!
      this.#order.after(wireKey, deadline, () => resolve(ask()), reject)
    })
  }

  /** @param exactly by a meta command, which tells a lease that nobody has filled from an empty value. */
  #askOne<Given extends ClientKey>(
    given: Given,
    wireKey: WireKey,
    call: MultiGetCall<Given, unknown>,
    exactly: boolean,
  ): Promise<void> {
    const { options, wish } = call
    const request = { value: true, casUnique: wish.withCas, details: exactly || typeof wireKey !== 'string' }
    return new Promise<Hit | undefined>((resolve, reject) => {
      const operation = new RetrievalOperation(
        wireKey,
        { ...request, unreadable: 'error' },
        nameOf(given),
        wish.reader,
        hitOf,
        resolve,
        reject,
      )
      this.#dispatcher.send(operation, wireKey, options)
    }).then((hit) => {
      if (hit !== undefined) call.hit(given, hit.value, hit.clientFlags, hit.casUnique)
    })
  }
}

interface Hit {
  readonly value: unknown
  readonly clientFlags: number
  readonly casUnique: bigint
}

/** A hit's value in a box: it may be a stored `undefined`. A lease that nobody has filled is a miss. */
function hitOf(reply: MetaReply, value: unknown): Hit | undefined {
  const isUnfilled = value === undefined && (reply.won || reply.lost) && reply.size === 0
  if (!isFound(reply) || isUnfilled) return undefined
  return { value, clientFlags: reply.clientFlags, casUnique: reply.casUnique.toBigInt() }
}

/** What one caller wants, and what has come of it. */
class MultiGetCall<Given extends ClientKey, Result> {
  readonly keys: readonly Given[]
  readonly options: StepOptions | undefined
  readonly wish: MultiGetWish<Result>
  readonly result = new MultiResult<Given, Result>()
  wasAborted = false

  constructor(keys: readonly Given[], options: CallOptions | undefined, wish: MultiGetWish<Result>) {
    this.keys = keys
    this.options = options
    this.wish = wish
  }

  hit(given: Given, value: unknown, clientFlags: number, casUnique: bigint): void {
    this.result.set(given, this.wish.build(value, clientFlags, casUnique))
  }

  failed(given: Given, error: unknown): void {
    if (this.options?.signal?.aborted === true) this.wasAborted = true
    const { unreadable = this.wish.reader.unreadable } = this.options ?? {}
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
