import {
  ClientFlags,
  exptimeOf,
  joinKey,
  kindOf,
  MAX_RELATIVE_EXPTIME_SECONDS,
  MemcacheOptionError,
  MemcacheUnsupportedError,
  ttlToSeconds,
  Uint64,
} from 'memcache-ts-protocol'
import type { Clock, MetaReply, Ttl } from 'memcache-ts-protocol'
import { checkCall } from './call-deadline.ts'
import type { CallOptions, ClientKey } from './call-options.ts'
import type { ServerPool } from './connection/server-pool.ts'
import { isBytes } from './client-key.ts'
import { asMemcacheError } from './as-memcache-error.ts'
import type { Dispatcher } from './dispatcher.ts'
import { ArithmeticOperation } from './operations/arithmetic-operation.ts'
import type { ArithmeticRequest, CounterAnswer } from './operations/arithmetic-operation.ts'
import { DeleteOperation } from './operations/delete-operation.ts'
import type { DeleteRequest, DeleteStatus } from './operations/delete-operation.ts'
import type { GetCall } from './operations/get-call.ts'
import { KEYS_PER_REQUEST } from './operations/key-list-operation.ts'
import { LinesOperation } from './operations/lines-operation.ts'
import type { LinesRequest } from './operations/lines-operation.ts'
import { MultiGetOperation } from './operations/multi-get-operation.ts'
import { MultiGetResult } from './operations/multi-get-result.ts'
import { isFound, RetrievalOperation } from './operations/retrieval-operation.ts'
import type { RetrievalRequest } from './operations/retrieval-operation.ts'
import { StoreOperation } from './operations/store-operation.ts'
import type { StoreConditions, StoreMode, StoreStatus } from './operations/store-operation.ts'
import { chunkKeysOf } from './values/chunked-values.ts'
import type { ChunkedValues } from './values/chunked-values.ts'
import type { EncodedValue, ValueReader } from './values/value-codec.ts'

const MAX_UINT64 = 2n ** 64n - 1n

/** What the client can ask, each thing once: the text protocol's and the meta commands are made of these. */
export class Commands {
  readonly #dispatcher: Dispatcher
  readonly #values: ChunkedValues
  readonly #clock: Clock
  readonly #askAgain = (call: GetCall): void => this.#getExactly(call)

  constructor(dispatcher: Dispatcher, values: ChunkedValues, clock: Clock) {
    this.#dispatcher = dispatcher
    this.#values = values
    this.#clock = clock
  }

  /** A value alone; a miss is `undefined`. */
  get<Value>(key: ClientKey, options: CallOptions | undefined): Promise<Value | undefined> {
    if (isBytes(key)) return this.retrieve(key, { value: true }, options, valueOf<Value>)
    return this.#dispatcher.get(key, options, this.#values, this.#askAgain)
  }

  /** An item, with a result of the caller's making. */
  retrieve<Result>(
    key: ClientKey,
    request: RetrievalRequest,
    options: CallOptions | undefined,
    build: (reply: MetaReply, value: unknown) => Result,
    reader: ValueReader = this.#values,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      checkCall(options)
      const wireKey = this.#dispatcher.wireKey(key)
      const operation = new RetrievalOperation(wireKey, request, nameOf(key), reader, build, resolve, reject)
      this.#dispatcher.send(operation, wireKey, options)
    })
  }

  /** The hits among many keys, in one round trip a server, those of all that answer. */
  async getMulti<Value, Given extends ClientKey>(
    keys: readonly Given[],
    options: CallOptions | undefined,
    reader: ValueReader = this.#values,
  ): Promise<MultiGetResult<Given, Value>> {
    checkCall(options)
    if (!Array.isArray(keys)) throw new MemcacheOptionError(`the keys must be an array, got ${kindOf(keys)}`)
    const result = new MultiGetResult<Given, Value>()
    const asked = this.#askForMany(keys, options, reader, result)
    const failed = await Promise.all(
      asked.map(async ({ pool, answered }) => {
        try {
          await Promise.all(await answered)
          return 0
        } catch (error) {
          if (options?.signal?.aborted === true) throw error
          result.errors.set(pool.address.name, asMemcacheError(error))
          return 1
        }
      }),
    )
    const failures = failed.reduce<number>((sum, failure) => sum + failure, 0)
    if (failures > 0 && failures === asked.length) throw result.errors.values().next().value!
    return result
  }

  /** Stores a value, with a result of the caller's making; one over the chunks' size is stored in chunks. */
  store<Result>(
    key: ClientKey,
    value: unknown,
    mode: StoreMode,
    ttl: Ttl | undefined,
    conditions: StoreConditions | undefined,
    options: CallOptions | undefined,
    build: (status: StoreStatus, casUnique: Uint64) => Result,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      checkCall(options)
      const wireKey = this.#dispatcher.wireKey(key)
      const exptime = ttl === undefined ? 0 : this.exptime(ttl)
      const encoded = this.#values.encode(value)
      const send = ({ bytes, clientFlags }: EncodedValue): void => {
        const name = nameOf(key)
        this.#dispatcher.send(
          new StoreOperation(wireKey, mode, bytes, clientFlags, exptime, conditions, name, build, resolve, reject),
          wireKey,
          options,
        )
      }
      const joins = mode === 'append' || mode === 'prepend'
      if (joins || !this.#values.isLarge(encoded.bytes)) send(encoded)
      else this.#storeChunks(encoded, exptime, options).then(send).catch(reject)
    })
  }

  /** Sets an item's lifetime anew, and that of its chunks; whether there was one. */
  async touch(key: ClientKey, exptime: number, options: CallOptions | undefined): Promise<boolean> {
    const request = { value: false, touchExptime: exptime }
    if (!this.#values.makesChunks) return this.retrieve(key, request, options, isFound)
    try {
      const kind = await this.retrieve(key, { ...request, details: true }, options, clientFlagsOf)
      if (kind === ClientFlags.chunks) await this.#touchChunks(key, exptime, options)
      return kind !== undefined
    } catch (error) {
      if (!(error instanceof MemcacheUnsupportedError)) throw error
      // Without meta commands only the value itself says of what kind it is.
      await this.#touchChunks(key, exptime, options)
      return this.retrieve(key, request, options, isFound)
    }
  }

  delete(
    key: ClientKey,
    request: Omit<DeleteRequest, 'wireKey'>,
    options: CallOptions | undefined,
  ): Promise<DeleteStatus> {
    return new Promise((resolve, reject) => {
      checkCall(options)
      const wireKey = this.#dispatcher.wireKey(key)
      const operation = new DeleteOperation({ ...request, wireKey }, nameOf(key), resolve, reject)
      this.#dispatcher.send(operation, wireKey, options)
    })
  }

  count(
    key: ClientKey,
    request: Omit<ArithmeticRequest, 'wireKey'>,
    options: CallOptions | undefined,
  ): Promise<CounterAnswer> {
    return new Promise((resolve, reject) => {
      checkCall(options)
      const wireKey = this.#dispatcher.wireKey(key)
      const operation = new ArithmeticOperation({ ...request, wireKey }, nameOf(key), resolve, reject)
      this.#dispatcher.send(operation, wireKey, options)
    })
  }

  /** The answer of a key's server to a request of lines. */
  lines(
    key: ClientKey,
    request: (wireKey: string | Buffer) => LinesRequest,
    options: CallOptions | undefined,
  ): Promise<string[]> {
    return new Promise((resolve, reject) => {
      checkCall(options)
      const wireKey = this.#dispatcher.wireKey(key)
      const operation = new LinesOperation(request(wireKey), nameOf(key), false, resolve, reject)
      this.#dispatcher.send(operation, wireKey, options)
    })
  }

  /** Every server's answer to a request; rejects when one fails. */
  async onAll(
    request: LinesRequest,
    writes: boolean,
    options: CallOptions | undefined,
  ): Promise<Map<string, string[]>> {
    checkCall(options)
    const answers = [...this.#onEach(request, writes, options)]
    return new Map(await Promise.all(answers.map(async ([server, answer]) => [server, await answer] as const)))
  }

  /** Whether each server answers a request: `undefined`, or why it does not. Never rejects. */
  async failuresOn(request: LinesRequest, options: CallOptions | undefined): Promise<Map<string, Error | undefined>> {
    const answers = [...this.#onEach(request, false, options)]
    const settled = await Promise.allSettled(answers.map(([, answer]) => answer))
    return new Map(
      settled.map((answer, index) => [
        answers[index]![0],
        answer.status === 'fulfilled' ? undefined : (answer.reason as Error),
      ]),
    )
  }

  #onEach(request: LinesRequest, writes: boolean, options: CallOptions | undefined): Map<string, Promise<string[]>> {
    const ask = (pool: ServerPool): Promise<string[]> =>
      new Promise((resolve, reject) => {
        const operation = new LinesOperation(request, undefined, writes, resolve, reject)
        this.#dispatcher.sendTo(pool, operation, '', options)
      })
    const { pools } = this.#dispatcher
    const asked = options?.server === undefined ? pools : [this.#dispatcher.poolFor('', options)]
    return new Map(asked.map((pool) => [pool.address.name, ask(pool)]))
  }

  /** The exptime of a lifetime, now. */
  exptime(ttl: Ttl): number {
    const seconds = ttlToSeconds(ttl, 'ttl')
    // Most lifetimes are told as seconds from now, and need no clock.
    return exptimeOf(seconds, seconds <= MAX_RELATIVE_EXPTIME_SECONDS ? 0 : this.#clock.nowMs())
  }

  /** Asks by a meta command, which tells a lease that nobody has filled from an empty value. */
  #getExactly(call: GetCall): void {
    const operation = new RetrievalOperation(
      call.wireKey,
      { value: true, details: true },
      call.name,
      this.#values,
      valueOf,
      (value) => call.resolve(value),
      (error) => call.fail(error),
    )
    try {
      const timeoutMs = Math.max(1, call.deadline - performance.now())
      this.#dispatcher.send(operation, call.wireKey, { timeoutMs })
    } catch (error) {
      call.fail(error)
    }
  }

  /** The keys by server, in requests of a size; keys that are bytes are asked for one by one. */
  #askForMany<Given extends ClientKey>(
    keys: readonly Given[],
    options: CallOptions | undefined,
    reader: ValueReader,
    hits: Map<Given, unknown>,
  ): { pool: ServerPool; answered: Promise<Promise<void>[]> }[] {
    const dispatcher = this.#dispatcher
    const again = async (given: Given): Promise<void> => {
      const value = await this.retrieve(given, { value: true, details: true }, options, foundValue, reader)
      if (value !== undefined) hits.set(given, value.value)
    }
    const asked: { pool: ServerPool; answered: Promise<Promise<void>[]> }[] = []
    const open = new Map<ServerPool, MultiGetOperation<Given>>()
    const operations: { pool: ServerPool; operation: MultiGetOperation<Given>; reject: (error: unknown) => void }[] = []
    for (const key of keys) {
      const wireKey = dispatcher.wireKey(key)
      const pool = dispatcher.poolFor(wireKey, options)
      if (typeof wireKey !== 'string') {
        asked.push({ pool, answered: again(key).then(() => []) })
        continue
      }
      let operation = open.get(pool)
      if (operation === undefined || operation.wireKeys.length >= KEYS_PER_REQUEST) {
        const answered = new Promise<Promise<void>[]>((resolve, reject) => {
          operation = new MultiGetOperation(hits, reader, again, resolve, reject)
          operations.push({ pool, operation, reject })
        })
        open.set(pool, operation!)
        asked.push({ pool, answered })
      }
      operation!.add(wireKey, key)
    }
    for (const { pool, operation, reject } of operations) {
      try {
        dispatcher.sendTo(pool, operation, operation.wireKeys[0]!, options)
      } catch (error) {
        reject(error)
      }
    }
    return asked
  }

  async #touchChunks(key: ClientKey, exptime: number, options: CallOptions | undefined): Promise<void> {
    const manifest = await this.retrieve(key, { value: true }, options, valueOf<Buffer>, MANIFEST)
    if (manifest === undefined) return
    const request = { value: false, touchExptime: exptime }
    await Promise.all(chunkKeysOf(manifest).map((chunk) => this.retrieve(chunk, request, spread(options), isFound)))
  }

  #storeChunks(encoded: EncodedValue, exptime: number, options: CallOptions | undefined): Promise<EncodedValue> {
    return this.#values.storeChunks(
      encoded,
      (key, chunk) =>
        new Promise((resolve, reject) => {
          const wireKey = this.#dispatcher.textKey(key)
          const operation = new StoreOperation(
            wireKey,
            'set',
            chunk,
            ClientFlags.bytes,
            exptime,
            undefined,
            key,
            ignore,
            resolve,
            reject,
          )
          this.#dispatcher.send(operation, wireKey, spread(options))
        }),
    )
  }
}

/** The options of a value's chunks, each of which lies on the server of its own key, wherever the list of them is. */
function spread(options: CallOptions | undefined): CallOptions | undefined {
  return options && { timeoutMs: options.timeoutMs, signal: options.signal }
}

/** The list of a value's chunks; any other value is nothing. */
const MANIFEST: ValueReader = {
  read: (buffer, start, end, clientFlags) =>
    clientFlags === ClientFlags.chunks ? Buffer.from(buffer.subarray(start, end)) : undefined,
}

function clientFlagsOf(reply: MetaReply): number | undefined {
  return isFound(reply) ? reply.clientFlags : undefined
}

/** A plain set either stores or rejects. */
function ignore(): void {}

/** A key as it stands in errors. */
export function nameOf(key: ClientKey): string {
  if (typeof key === 'string') return key
  return isBytes(key) ? `0x${Buffer.from(key).toString('hex')}` : joinKey(key)
}

/** @throws MemcacheOptionError for what memcached cannot count in. */
export function toUint64(name: string, value: number | bigint): Uint64 {
  const isCount =
    typeof value === 'number'
      ? Number.isSafeInteger(value) && value >= 0
      : typeof value === 'bigint' && value >= 0n && value <= MAX_UINT64
  if (!isCount) {
    const got = typeof value === 'number' || typeof value === 'bigint' ? value : kindOf(value)
    throw new MemcacheOptionError(`${name}: memcached counts in whole numbers from 0 to 2^64 - 1, got ${got}`)
  }
  const made = new Uint64()
  if (typeof value === 'number') made.set(Math.floor(value / 2 ** 32), value)
  else made.setBigInt(value)
  return made
}

function valueOf<Value>(reply: MetaReply, value: unknown): Value | undefined {
  return isFound(reply) ? (value as Value) : undefined
}

/** A hit's value in a box: it may be a stored `undefined`. */
function foundValue(reply: MetaReply, value: unknown): { value: unknown } | undefined {
  const unfilled = value === undefined && (reply.won || reply.lost) && reply.size === 0
  return isFound(reply) && !unfilled ? { value } : undefined
}
