import { exptimeOf, joinKey, MemcacheOptionError, ttlToSeconds, Uint64 } from 'memcache-ts-protocol'
import type { Clock, Key, MetaReply, Ttl } from 'memcache-ts-protocol'
import type { CallOptions, ClientKey, MetaSetOptions } from './call-options.ts'
import type { ServerPool } from './connection/server-pool.ts'
import { asMemcacheError } from './dispatcher.ts'
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
import type { StoreMode, StoreStatus } from './operations/store-operation.ts'
import type { ChunkedValues } from './values/chunked-values.ts'
import type { ValueReader } from './values/value-codec.ts'

const MAX_UINT64 = 2n ** 64n - 1n
const STORE_MODES: readonly string[] = ['set', 'add', 'replace', 'append', 'prepend'] satisfies readonly StoreMode[]

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
    if (key instanceof Uint8Array) return this.retrieve(key, { value: true }, options, valueOf<Value>)
    return this.#dispatcher.get(key, options, this.#values, this.#askAgain)
  }

  /** An item, with a result of the caller's making. */
  retrieve<Result>(
    key: ClientKey,
    request: Omit<RetrievalRequest, 'wireKey'>,
    options: CallOptions | undefined,
    build: (reply: MetaReply, value: unknown) => Result,
    reader: ValueReader = this.#values,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      options?.signal?.throwIfAborted()
      const wireKey = this.#dispatcher.wireKey(key)
      const details = { key: nameOf(key), writes: request.touchExptime !== undefined }
      const operation = new RetrievalOperation({ ...request, wireKey }, details, reader, build, resolve, reject)
      this.#dispatcher.send(operation, wireKey, options)
    })
  }

  /** The hits among many keys, in one round trip a server, those of all that answer. */
  async getMulti<Value, Given extends ClientKey>(
    keys: readonly Given[],
    options: CallOptions | undefined,
    reader: ValueReader = this.#values,
  ): Promise<MultiGetResult<Given, Value>> {
    options?.signal?.throwIfAborted()
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

  /** Stores a value; one over the chunks' size is stored in chunks. */
  async store(
    key: ClientKey,
    value: unknown,
    options: MetaSetOptions | undefined,
  ): Promise<{ status: StoreStatus; casUnique: bigint }> {
    options?.signal?.throwIfAborted()
    const wireKey = this.#dispatcher.wireKey(key)
    const mode = options?.mode ?? 'set'
    if (!STORE_MODES.includes(mode)) {
      throw new MemcacheOptionError(`mode must be one of ${STORE_MODES.join(', ')}, got '${mode}'`)
    }
    const exptime = this.exptime(options?.ttl ?? Infinity)
    const joins = mode === 'append' || mode === 'prepend'
    const encoded = this.#values.encode(value)
    const { bytes, clientFlags } =
      joins || !this.#values.isLarge(encoded.bytes)
        ? encoded
        : await this.#values.storeChunks(encoded, (chunkKey, chunk) => this.#storeChunk(chunkKey, chunk, exptime, options))
    const request = {
      wireKey,
      mode,
      bytes,
      clientFlags,
      exptime,
      compareCas: uint64('compareCas', options?.compareCas),
      newCas: uint64('newCas', options?.newCas),
      invalidate: options?.invalidate,
      vivifyExptime: options?.vivifyTtl === undefined ? undefined : this.exptime(options.vivifyTtl),
    }
    return new Promise((resolve, reject) => {
      const done = (status: StoreStatus, casUnique: Uint64): void =>
        resolve({ status, casUnique: casUnique.toBigInt() })
      this.#dispatcher.send(new StoreOperation(request, nameOf(key), done, reject), wireKey, options)
    })
  }

  delete(
    key: ClientKey,
    request: Omit<DeleteRequest, 'wireKey'>,
    options: CallOptions | undefined,
  ): Promise<DeleteStatus> {
    return new Promise((resolve, reject) => {
      options?.signal?.throwIfAborted()
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
      options?.signal?.throwIfAborted()
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
      options?.signal?.throwIfAborted()
      const wireKey = this.#dispatcher.wireKey(key)
      const details = { key: nameOf(key), writes: false }
      this.#dispatcher.send(new LinesOperation(request(wireKey), details, resolve, reject), wireKey, options)
    })
  }

  /** Every server's answer to a request; rejects when one fails. */
  async onAll(
    request: LinesRequest,
    writes: boolean,
    options: CallOptions | undefined,
  ): Promise<Map<string, string[]>> {
    options?.signal?.throwIfAborted()
    const answers = this.#dispatcher.pools.map(
      (pool) =>
        new Promise<[string, string[]]>((resolve, reject) => {
          const answered = (lines: string[]): void => resolve([pool.address.name, lines])
          this.#dispatcher.sendTo(pool, new LinesOperation(request, { writes }, answered, reject), '', options)
        }),
    )
    return new Map(await Promise.all(answers))
  }

  /** The exptime of a lifetime, now. */
  exptime(ttl: Ttl): number {
    return exptimeOf(ttlToSeconds(ttl, 'ttl'), this.#clock.nowMs())
  }

  /** Asks by a meta command, which tells a lease that nobody has filled from an empty value. */
  #getExactly(call: GetCall): void {
    const details = { key: call.name, writes: false }
    const operation = new RetrievalOperation(
      { wireKey: call.wireKey, value: true, details: true },
      details,
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
      if (value !== undefined) hits.set(given, (value as { value: unknown }).value)
    }
    const asked: { pool: ServerPool; answered: Promise<Promise<void>[]> }[] = []
    const open = new Map<ServerPool, MultiGetOperation<Given>>()
    const operations: { pool: ServerPool; operation: MultiGetOperation<Given>; reject: (error: unknown) => void }[] = []
    for (const key of keys) {
      const wireKey = dispatcher.wireKey(key)
      const pool = dispatcher.poolFor(wireKey, options?.groupKey)
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

  #storeChunk(key: string, bytes: Buffer, exptime: number, options: CallOptions | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const wireKey = this.#dispatcher.textKey(key)
      const request = { wireKey, mode: 'set', bytes, clientFlags: 0, exptime } as const
      const operation = new StoreOperation(request, key, () => resolve(), reject)
      this.#dispatcher.send(operation, wireKey, options)
    })
  }
}

/** A key as it stands in errors. */
export function nameOf(key: ClientKey): string {
  if (typeof key === 'string') return key
  return key instanceof Uint8Array ? `0x${Buffer.from(key).toString('hex')}` : joinKey(key as Key)
}

/** @throws MemcacheOptionError for what memcached cannot count in. */
export function toUint64(name: string, value: number | bigint): Uint64 {
  if (typeof value === 'number' ? !Number.isSafeInteger(value) || value < 0 : value < 0n || value > MAX_UINT64) {
    throw new MemcacheOptionError(`${name}: memcached counts in whole numbers from 0 to 2^64 - 1, got ${value}`)
  }
  const made = new Uint64()
  made.setBigInt(BigInt(value))
  return made
}

function uint64(name: string, value: bigint | undefined): Uint64 | undefined {
  return value === undefined ? undefined : toUint64(name, value)
}

function valueOf<Value>(reply: MetaReply, value: unknown): Value | undefined {
  return isFound(reply) ? (value as Value) : undefined
}

/** A hit's value in a box: it may be a stored `undefined`. */
function foundValue(reply: MetaReply, value: unknown): { value: unknown } | undefined {
  const unfilled = value === undefined && (reply.won || reply.lost) && reply.size === 0
  return isFound(reply) && !unfilled ? { value } : undefined
}
