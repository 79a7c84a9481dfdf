import { EventEmitter } from 'node:events'
import { formatFlushAll, formatGet, formatStats, formatVersion, MetaCode } from 'memcache-ts-protocol'
import type { Key, MemcacheError, MetaReply, Ttl } from 'memcache-ts-protocol'
import type { CallOptions, CounterOptions } from './call-options.ts'
import { asMemcacheError, Dispatcher } from './dispatcher.ts'
import { MetaCommands } from './meta-commands.ts'
import type { Widened } from './meta-commands.ts'
import { MultiGetResult } from './multi-get-result.ts'
import { LinesOperation, MultiGetOperation } from './operation.ts'
import { resolveClientOptions } from './options.ts'
import type { MemcachedClientOptions, ResolvedClientOptions } from './options.ts'
import type { ServerPool } from './server-pool.ts'
import { typedCodec } from './values/typed-codec.ts'
import { readerOf } from './values/value-codec.ts'
import type { ValueReader } from './values/value-codec.ts'

/** Keys of one `get` line; longer lists are asked for in several. */
const KEYS_PER_GET = 200

/** Events of a `MemcachedClient`; it never emits `error`. */
export interface MemcachedClientEvents {
  connect: [server: string]
  /** With an error unless the server closed a connection that nobody waited on. */
  disconnect: [server: string, error: MemcacheError | undefined]
  reconnecting: [server: string, delayMs: number]
  /** The server does not answer; its keys go where `failover` says. */
  eject: [server: string, error: MemcacheError]
  /** It answers again. */
  rejoin: [server: string]
}

/** An item with its cas unique, for `cas`. */
export interface ItemWithCas<Value> {
  readonly value: Value
  readonly casUnique: bigint
  readonly clientFlags: number
}

/**
 * A memcached client: pipelined on few connections, one write a tick, answers never mixed up. Faults reject with a
 * `MemcacheError`; a miss is `undefined`.
 *
 * @example
 * await using client = new MemcachedClient('127.0.0.1:11211')
 * await client.set('hello', 'world', 3600)
 * await client.get<string>('hello') // 'world'
 */
export class MemcachedClient extends EventEmitter<MemcachedClientEvents> implements AsyncDisposable {
  /** The meta commands, their flags spelled out. */
  readonly meta: MetaCommands
  readonly #options: ResolvedClientOptions
  readonly #dispatcher: Dispatcher
  readonly #reader: ValueReader

  /** @throws MemcacheOptionError for options that cannot be. */
  constructor(options: string | MemcachedClientOptions = {}) {
    super()
    this.#options = resolveClientOptions(typeof options === 'string' ? { servers: options } : options)
    this.#dispatcher = new Dispatcher(this.#options, {
      connected: (server) => this.emit('connect', server),
      disconnected: (server, error) => this.emit('disconnect', server, error),
      retrying: (server, delayMs) => this.emit('reconnecting', server, delayMs),
      ejected: (server, error) => this.emit('eject', server, error),
      rejoined: (server) => this.emit('rejoin', server),
    })
    const { values, clock } = this.#options
    const codec = values === 'typed' ? typedCodec() : values
    this.#reader = 'read' in codec ? (codec as ValueReader) : readerOf(codec)
    this.meta = new MetaCommands(this.#dispatcher, codec, this.#reader, clock)
  }

  /** The servers' names, in their order. */
  get servers(): string[] {
    return this.#dispatcher.pools.map((pool) => pool.address.name)
  }

  // Retrieval

  /** The value of a key; `undefined` is a miss, `null` a stored null. */
  get<Value = unknown>(key: Key, options?: CallOptions): Promise<Value | undefined> {
    return this.meta.value<Value>(key, options)
  }

  /** The value with its cas unique; `undefined` is a miss. */
  gets<Value = unknown>(key: Key, options?: CallOptions): Promise<ItemWithCas<Value> | undefined> {
    return this.meta.fetch(key, options, withCas<Value>)
  }

  /** The value, its lifetime set anew; `undefined` is a miss. */
  gat<Value = unknown>(key: Key, ttl: Ttl, options?: CallOptions): Promise<Value | undefined> {
    return this.meta.fetch(key, { ...options, touchTtl: ttl }, hitValue<Value>)
  }

  /** The value with its cas unique, its lifetime set anew; `undefined` is a miss. */
  gats<Value = unknown>(key: Key, ttl: Ttl, options?: CallOptions): Promise<ItemWithCas<Value> | undefined> {
    return this.meta.fetch(key, { ...options, touchTtl: ttl }, withCas<Value>)
  }

  /**
   * The hits among many keys, in one round trip a server. When a server fails, the others' hits come, and its error is
   * in `errors`; only when all fail does it reject.
   */
  async getMulti<Value = unknown, Given extends Key = Key>(
    keys: readonly Given[],
    options?: CallOptions,
  ): Promise<MultiGetResult<Given, Value>> {
    options?.signal?.throwIfAborted()
    const result = new MultiGetResult<Given, Value>()
    const batches = this.#batches(keys, options)
    const failed = await Promise.all(
      batches.map(async ({ pool, wanted }) => {
        try {
          await this.#getBatch(pool, wanted, result, options)
          return 0
        } catch (error) {
          if (options?.signal?.aborted === true) throw error
          result.errors.set(pool.address.name, asMemcacheError(error))
          return 1
        }
      }),
    )
    const failures = failed.filter((failure) => failure === 1).length
    if (failures > 0 && failures === batches.length) throw result.errors.values().next().value!
    return result
  }

  // Storage

  /** Stores a value. Without a lifetime it stays until it is evicted. */
  async set(key: Key, value: unknown, ttl?: Ttl, options?: CallOptions): Promise<void> {
    await this.meta.set(key, value, { ...options, ttl })
  }

  /** Stores a value unless the key has one; returns whether it did. */
  async add(key: Key, value: unknown, ttl?: Ttl, options?: CallOptions): Promise<boolean> {
    return (await this.meta.set(key, value, { ...options, ttl, mode: 'add' })).status === 'stored'
  }

  /** Stores a value if the key has one; returns whether it did. */
  async replace(key: Key, value: unknown, ttl?: Ttl, options?: CallOptions): Promise<boolean> {
    return (await this.meta.set(key, value, { ...options, ttl, mode: 'replace' })).status === 'stored'
  }

  /** Puts bytes behind a stored value, which keeps its kind and lifetime; returns whether there was one. */
  async append(key: Key, value: string | Buffer, options?: CallOptions): Promise<boolean> {
    return (await this.meta.set(key, value, { ...options, mode: 'append' })).status === 'stored'
  }

  /** Puts bytes before a stored value, which keeps its kind and lifetime; returns whether there was one. */
  async prepend(key: Key, value: string | Buffer, options?: CallOptions): Promise<boolean> {
    return (await this.meta.set(key, value, { ...options, mode: 'prepend' })).status === 'stored'
  }

  /** Stores a value in place of the one that `gets` returned; `exists` when it has changed since. */
  async cas(
    key: Key,
    value: unknown,
    casUnique: bigint,
    ttl?: Ttl,
    options?: CallOptions,
  ): Promise<'stored' | 'exists' | 'notFound'> {
    const { status } = await this.meta.set(key, value, { ...options, ttl, compareCas: casUnique })
    return status === 'notStored' ? 'exists' : status
  }

  /** Sets an item's lifetime anew; returns whether there was one. */
  async touch(key: Key, ttl: Ttl, options?: CallOptions): Promise<boolean> {
    return (await this.meta.fetch(key, { ...options, touchTtl: ttl, value: false }, isHit)) === true
  }

  /** Deletes an item; returns whether there was one. */
  async delete(key: Key, options?: CallOptions): Promise<boolean> {
    return (await this.meta.delete(key, options)) === 'deleted'
  }

  // Counters

  /** Adds to a counter; `undefined` is a miss, unless `initial` says what to start with. Given a bigint, exact to 2^64. */
  incr<Amount extends number | bigint = number>(
    key: Key,
    delta?: Amount,
    options?: CounterOptions,
  ): Promise<Widened<Amount> | undefined> {
    return this.#count('incr', key, delta, options)
  }

  /** Takes from a counter, down to 0; `undefined` is a miss, unless `initial` says what to start with. */
  decr<Amount extends number | bigint = number>(
    key: Key,
    delta?: Amount,
    options?: CounterOptions,
  ): Promise<Widened<Amount> | undefined> {
    return this.#count('decr', key, delta, options)
  }

  // Servers

  /** Forgets everything on all servers, now or in so many seconds. */
  async flushAll(delaySeconds = 0, options?: CallOptions): Promise<void> {
    await this.#onAll(formatFlushAll(delaySeconds), true, false, options)
  }

  /** Each server's version. */
  async version(options?: CallOptions): Promise<Map<string, string>> {
    const lines = await this.#onAll(formatVersion(), false, false, options)
    return new Map([...lines].map(([server, [line]]) => [server, line?.replace('VERSION ', '') ?? '']))
  }

  /** Each server's statistics: the general ones, or a form such as `items`. What looks like a number is one. */
  async stats(form?: string, options?: CallOptions): Promise<Map<string, Record<string, string | number>>> {
    const lines = await this.#onAll(formatStats(form), false, true, options)
    return new Map([...lines].map(([server, of]) => [server, Object.fromEntries(of.map(readStat))]))
  }

  /** Lets operations under way finish, then closes the connections. */
  async close(): Promise<void> {
    await this.#dispatcher.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #count<Amount extends number | bigint>(
    mode: 'incr' | 'decr',
    key: Key,
    delta: Amount | undefined,
    options: CounterOptions | undefined,
  ): Promise<Widened<Amount> | undefined> {
    const { initial, ttl, ...call } = options ?? {}
    const counter = await this.meta.arithmetic<Amount>(key, {
      ...call,
      mode,
      delta,
      ...(initial === undefined ? {} : { initial: initial as Amount, vivifyTtl: ttl ?? Infinity }),
    })
    return counter?.value
  }

  /** The keys by server, in lists that fit a line. */
  #batches<Given extends Key>(
    keys: readonly Given[],
    options: CallOptions | undefined,
  ): { pool: ServerPool; wanted: Map<string, Given> }[] {
    const byPool = new Map<ServerPool, { pool: ServerPool; wanted: Map<string, Given> }>()
    const batches: { pool: ServerPool; wanted: Map<string, Given> }[] = []
    const group = options?.groupKey === undefined ? undefined : this.#dispatcher.wireKey(options.groupKey)
    for (const key of keys) {
      const wireKey = this.#dispatcher.wireKey(key)
      const pool = this.#dispatcher.poolFor(group ?? wireKey)
      let batch = byPool.get(pool)
      if (batch === undefined || batch.wanted.size >= KEYS_PER_GET) {
        batch = { pool, wanted: new Map() }
        byPool.set(pool, batch)
        batches.push(batch)
      }
      batch.wanted.set(wireKey, key)
    }
    return batches
  }

  #getBatch<Given extends Key, Value>(
    pool: ServerPool,
    wanted: Map<string, Given>,
    result: Map<Given, Value>,
    options: CallOptions | undefined,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const wireKeys = [...wanted.keys()]
      const connection = this.#dispatcher.open(pool, wireKeys[0]!)
      connection.requests.append(formatGet(wireKeys))
      const hit = (wireKey: string, value: unknown): void => {
        const key = wanted.get(wireKey)
        if (key !== undefined) result.set(key, value as Value)
      }
      this.#dispatcher.send(connection, new MultiGetOperation(this.#reader, hit, resolve, reject), options)
    })
  }

  /** Sends a line to every server; rejects when one fails. */
  async #onAll(
    request: string,
    writes: boolean,
    untilEnd: boolean,
    options: CallOptions | undefined,
  ): Promise<Map<string, string[]>> {
    options?.signal?.throwIfAborted()
    const answers = this.#dispatcher.pools.map(
      (pool) =>
        new Promise<[string, string[]]>((resolve, reject) => {
          const connection = this.#dispatcher.open(pool, '')
          connection.requests.append(request)
          const answered = (lines: string[]): void => resolve([pool.address.name, lines])
          this.#dispatcher.send(connection, new LinesOperation({ writes }, untilEnd, answered, reject), options)
        }),
    )
    return new Map(await Promise.all(answers))
  }
}

function withCas<Value>(reply: MetaReply, value: unknown): ItemWithCas<Value> | undefined {
  if (reply.code === MetaCode.EN) return undefined
  return { value: value as Value, casUnique: reply.casUnique.toBigInt(), clientFlags: reply.clientFlags }
}

function hitValue<Value>(reply: MetaReply, value: unknown): Value | undefined {
  return reply.code === MetaCode.EN ? undefined : (value as Value)
}

function isHit(reply: MetaReply): boolean {
  return reply.code !== MetaCode.EN
}

function readStat(line: string): [string, string | number] {
  const [, name = '', value = ''] = /^STAT (\S+) ?(.*)$/.exec(line) ?? []
  return [
    name,
    /^\d+(?:\.\d+)?$/.test(value) && Number.isSafeInteger(Math.trunc(Number(value))) ? Number(value) : value,
  ]
}
