import { EventEmitter } from 'node:events'
import { kindOf, MemcacheOptionError, refuseSecondOptions } from 'memcache-ts-protocol'
import type { MemcacheError, Ttl } from 'memcache-ts-protocol'
import { checkCall, startBatch } from './call-deadline.ts'
import { checkNames, hasKnownNames, keysOf, pairsOf, toUint64, uint64Option, wholeNumber } from './argument-checks.ts'
import type { CallOptions, ClientKey, CounterOptions, WriteOptions, Written } from './call-options.ts'
import { Commands } from './commands.ts'
import { Discovery } from './discovery.ts'
import { Opening } from './waiting-calls.ts'
import type { ConnectionReport } from './connection/connection-contract.ts'
import { Dispatcher } from './dispatcher.ts'
import { emitSafely } from './errors.ts'
import { casStatus, hitValue, isStored, itemWithCas, MultiResult, withCas } from './call-results.ts'
import type { ItemWithCas, MultiGetResult } from './call-results.ts'
import { METADUMP_TIMEOUT_MS, Metadumps } from './metadump.ts'
import type { DumpedItem, MetadumpOptions } from './metadump.ts'
import { MetaCommands } from './meta-commands.ts'
import type { Widened } from './meta-commands.ts'
import { NoReply } from './no-reply.ts'
import type { StoreMode } from './operations/write-operations.ts'
import { resolveClientOptions } from './options.ts'
import type { MemcachedClientOptions, ResolvedClientOptions } from './options.ts'
import {
  flushRequest,
  readStatistics,
  ServerCommands,
  statisticsRequest,
  verbosityRequest,
  VERSION_OF_SERVER,
} from './server-commands.ts'
import type { ServerStatistics } from './server-commands.ts'
import { operationChannel, Tracing } from './tracing.ts'

/** Events of a `MemcachedClient`; it never emits `error`. */
export interface MemcachedClientEvents {
  connect: [server: string]
  /** A connection was lost; the error is `undefined` if the server closed it without pending operations. */
  disconnect: [server: string, error: MemcacheError | undefined]
  reconnecting: [server: string, delayMs: number]
  /** The server does not respond; its keys are sent where the option `failover` says. */
  eject: [server: string, error: MemcacheError]
  /** The server responds again. */
  rejoin: [server: string]
  /** Discovery has found a new list of servers. */
  servers: [servers: string[]]
  /** No endpoint returns the servers: the last list is used. Emitted once until an endpoint responds again. */
  discoveryError: [error: MemcacheError]
}

/** A call for each of many keys. */
interface BatchCall<Given> {
  readonly operation: string
  readonly items: readonly (readonly [Given, unknown])[]
  readonly options: CallOptions | undefined
}

/**
 * A memcached client: pipelined on few connections, with one write per turn of the event loop; a response never reaches
 * another request. Errors reject with a `MemcacheError`; a miss is `undefined`.
 *
 * @example
 *   await using client = new MemcachedClient('127.0.0.1:11211')
 *   await client.set('hello', 'world', 3600)
 *   await client.get<string>('hello') // 'world'
 */
export class MemcachedClient extends EventEmitter<MemcachedClientEvents> implements AsyncDisposable {
  /** The meta commands, with names for their flags. */
  readonly meta: MetaCommands
  readonly #options: ResolvedClientOptions
  readonly #dispatcher: Dispatcher
  readonly #commands: Commands
  readonly #servers: ServerCommands
  readonly #dumps: Metadumps
  readonly #opening = new Opening()
  readonly #noReply: NoReply
  readonly #tracing: Tracing
  readonly #discovery: Discovery | undefined

  /** @throws MemcacheOptionError if an option is unknown or invalid. */
  constructor(options: string | MemcachedClientOptions = {}, ...others: never[]) {
    super()
    refuseSecondOptions('MemcachedClient', others)
    this.#options = resolveClientOptions(typeof options === 'string' ? { servers: options } : options)
    const { servers, discovery } = this.#options
    this.#dispatcher = new Dispatcher(this.#options, {
      connected: (server) => this.#emit('connect', server),
      disconnected: (server, error) => this.#emit('disconnect', server, error),
      retrying: (server, delayMs) => this.#emit('reconnecting', server, delayMs),
      ejected: (server, error) => {
        this.#discovery?.refresh()
        this.#emit('eject', server, error)
      },
      rejoined: (server) => this.#emit('rejoin', server),
    })
    this.#commands = new Commands(this.#dispatcher, this.#options)
    this.#servers = new ServerCommands(this.#dispatcher)
    this.#dumps = new Metadumps(this.#options)
    this.#noReply = new NoReply(this.#dispatcher, this.#opening)
    this.#tracing = new Tracing(this.#dispatcher, this.#opening, this.#options.timeoutMs)
    this.meta = new MetaCommands(this.#commands, this.#servers, this.#tracing)
    if (discovery) {
      this.#discovery = this.#discover()
      this.#discovery.refresh()
    } else {
      this.#dispatcher.use(servers)
      this.#opening.open()
    }
  }

  /** The servers' names, in their order. */
  get servers(): string[] {
    return this.#dispatcher.pools.map((pool) => pool.address.name)
  }

  /** Returns the connections to all servers: their states, and the number of callers that wait on each. */
  connections(): ConnectionReport[] {
    return this.#dispatcher.pools.flatMap((pool) => pool.report())
  }

  /** The prefix of every key, including `:`. */
  get prefix(): string {
    return this.#options.prefix
  }

  /** Returns whether an operation may begin immediately, without `Tracing.run`. */
  #isDirect(operation: string, options: CallOptions | undefined): boolean {
    if (!this.#opening.isOpen || operationChannel.hasSubscribers) return false
    return options === undefined || hasKnownNames(operation, options)
  }

  // Retrieval

  /** Returns the value of a key; `undefined` is a miss, `null` a stored null. */
  get<Value = unknown>(key: ClientKey, options?: CallOptions): Promise<Value | undefined> {
    if (this.#isDirect('get', options)) return this.#commands.get(key, options)
    return this.#tracing.run({ operation: 'get', key, options }, (options) => this.#commands.get(key, options))
  }

  /** Returns the value with its cas unique; `undefined` is a miss. */
  gets<Value = unknown>(key: ClientKey, options?: CallOptions): Promise<ItemWithCas<Value> | undefined> {
    const parameters = { value: true, casUnique: true, build: withCas<Value> }
    return this.#tracing.run({ operation: 'gets', key, options }, (options) =>
      this.#commands.retrieve(key, parameters, options),
    )
  }

  /** Returns the value and sets its lifetime; `undefined` is a miss. */
  gat<Value = unknown>(key: ClientKey, ttl: Ttl, options?: CallOptions): Promise<Value | undefined> {
    return this.#tracing.run({ operation: 'gat', key, options }, async (options) => {
      const parameters = { value: true, touchExptime: this.#commands.exptime(ttl), build: hitValue<Value> }
      return this.#commands.retrieve(key, parameters, options)
    })
  }

  /** Returns the value with its cas unique, and sets its lifetime; `undefined` is a miss. */
  gats<Value = unknown>(key: ClientKey, ttl: Ttl, options?: CallOptions): Promise<ItemWithCas<Value> | undefined> {
    return this.#tracing.run({ operation: 'gats', key, options }, async (options) => {
      const touchExptime = this.#commands.exptime(ttl)
      return this.#commands.retrieve(
        key,
        { value: true, casUnique: true, touchExptime, build: withCas<Value> },
        options,
      )
    })
  }

  /**
   * Returns the hits among many keys, in one round trip per connection. A failure of one key does not affect the
   * others: it is in `errors`, by its server or, if the key or its value is invalid, by the key, and in `keyErrors`.
   * Rejects only if all servers fail.
   */
  getMulti<Value = unknown, Given extends ClientKey = ClientKey>(
    keys: readonly Given[],
    options?: CallOptions,
  ): Promise<MultiGetResult<Given, Value>> {
    if (this.#isDirect('getMulti', options)) return this.#commands.getMulti(keys, options)
    return this.#tracing.run({ operation: 'getMulti', keys, options }, (options) =>
      this.#commands.getMulti<Value, Given>(keys, options),
    )
  }

  /** Returns the hits among many keys, each with its cas unique; see `getMulti`. */
  getsMulti<Value = unknown, Given extends ClientKey = ClientKey>(
    keys: readonly Given[],
    options?: CallOptions,
  ): Promise<MultiGetResult<Given, ItemWithCas<Value>>> {
    return this.#tracing.run({ operation: 'getsMulti', keys, options }, (options) =>
      this.#commands.getsMulti(keys, options, itemWithCas<Value>),
    )
  }

  // Storage

  /** Stores a value. Without a lifetime, it does not expire, but may be evicted. */
  set(key: ClientKey, value: unknown, ttl?: Ttl, options?: WriteOptions): Promise<void> {
    const commands = this.#commands
    if (this.#isDirect('set', options)) {
      return this.#noReply.written(commands.store(key, value, { mode: 'set', ttl, options, build: nothing }), options)
    }
    const set = this.#tracing.run({ operation: 'set', key, options }, (options) =>
      commands.store(key, value, { mode: 'set', ttl, options, build: nothing }),
    )
    return this.#noReply.written(set, options)
  }

  /**
   * Stores many values, each like `set`, with one deadline for all. Returns the keys that were stored, with `true`;
   * failed keys are in `errors` and `keyErrors`. Rejects only if all fail.
   *
   * @param items the keys and their values: a `Map`, or pairs.
   */
  async setMulti<Given extends ClientKey>(
    items: Iterable<readonly [Given, unknown]>,
    ttl?: Ttl,
    options?: CallOptions,
  ): Promise<MultiResult<Given, true>> {
    return this.#forEach({ operation: 'setMulti', items: pairsOf(items), options }, ([key, value], options) =>
      this.#commands.store(key, value, { mode: 'set', ttl, options, build: yes }),
    )
  }

  /** Stores a value unless the key has one; returns whether it did. */
  add<Options extends WriteOptions>(
    key: ClientKey,
    value: unknown,
    ttl?: Ttl,
    options?: Options,
  ): Promise<Written<Options, boolean>> {
    return this.#store(key, value, { mode: 'add', ttl, options })
  }

  /** Stores a value if the key has one; returns whether it did. */
  replace<Options extends WriteOptions>(
    key: ClientKey,
    value: unknown,
    ttl?: Ttl,
    options?: Options,
  ): Promise<Written<Options, boolean>> {
    return this.#store(key, value, { mode: 'replace', ttl, options })
  }

  /**
   * Appends bytes to a stored text or bytes, which keeps its lifetime; returns whether the key had a value.
   *
   * @throws MemcacheOptionError if the stored value is compressed, in chunks, JSON or typed; it stays as it is.
   */
  append<Options extends WriteOptions>(
    key: ClientKey,
    value: string | Uint8Array,
    options?: Options,
  ): Promise<Written<Options, boolean>> {
    return this.#store(key, value, { mode: 'append', options })
  }

  /**
   * Prepends bytes to a stored text or bytes, which keeps its lifetime; returns whether the key had a value.
   *
   * @throws MemcacheOptionError if the stored value is compressed, in chunks, JSON or typed; it stays as it is.
   */
  prepend<Options extends WriteOptions>(
    key: ClientKey,
    value: string | Uint8Array,
    options?: Options,
  ): Promise<Written<Options, boolean>> {
    return this.#store(key, value, { mode: 'prepend', options })
  }

  /** Stores a value in place of the one that `gets` returned; returns `exists` if the value has changed since. */
  cas(
    key: ClientKey,
    value: unknown,
    casUnique: bigint,
    ttl?: Ttl,
    options?: CallOptions,
  ): Promise<'stored' | 'exists' | 'notFound'> {
    return this.#tracing.run({ operation: 'cas', key, options }, async (options) => {
      const conditions = { compareCas: toUint64('casUnique', casUnique) }
      return this.#commands.store(key, value, { mode: 'set', ttl, conditions, options, build: casStatus })
    })
  }

  /** Sets the lifetime of an item; returns whether the item was found. */
  touch<Options extends WriteOptions>(key: ClientKey, ttl: Ttl, options?: Options): Promise<Written<Options, boolean>> {
    const touched = this.#tracing.run({ operation: 'touch', key, options }, async (options) =>
      this.#commands.touch(key, this.#commands.exptime(ttl), options),
    )
    return this.#noReply.written(touched, options)
  }

  /** Deletes an item; returns whether the item was found. */
  delete<Options extends WriteOptions>(key: ClientKey, options?: Options): Promise<Written<Options, boolean>> {
    return this.#noReply.written(
      this.#tracing.run({ operation: 'delete', key, options }, (options) => this.#delete(key, options)),
      options,
    )
  }

  /**
   * Deletes many items, with one deadline for all. Returns for each key whether its item was found; failed keys are in
   * `errors` and `keyErrors`. Rejects only if all fail.
   */
  async deleteMulti<Given extends ClientKey>(
    keys: readonly Given[],
    options?: CallOptions,
  ): Promise<MultiResult<Given, boolean>> {
    const items = keysOf(keys).map((key: Given): readonly [Given, undefined] => [key, undefined])
    return this.#forEach({ operation: 'deleteMulti', items, options }, ([key], options) => this.#delete(key, options))
  }

  // Counters

  /**
   * Adds to a counter and returns its value; a miss is `undefined`, unless `initial` is given. Exact to 2^64 with a
   * bigint.
   */
  incr<Amount extends number | bigint = number>(
    key: ClientKey,
    delta?: Amount,
    options?: CounterOptions,
  ): Promise<Widened<Amount> | undefined> {
    return this.#noReply.written(
      this.#tracing.run({ operation: 'incr', key, options }, (options) =>
        this.#count(key, { mode: 'incr', delta }, options),
      ),
      options,
    )
  }

  /** Subtracts from a counter, down to 0, and returns its value; a miss is `undefined`, unless `initial` is given. */
  decr<Amount extends number | bigint = number>(
    key: ClientKey,
    delta?: Amount,
    options?: CounterOptions,
  ): Promise<Widened<Amount> | undefined> {
    return this.#noReply.written(
      this.#tracing.run({ operation: 'decr', key, options }, (options) =>
        this.#count(key, { mode: 'decr', delta }, options),
      ),
      options,
    )
  }

  // Servers

  /** Invalidates all items on all servers, now or after this many seconds. */
  async flushAll(delaySeconds = 0, options?: CallOptions): Promise<void> {
    const delay = this.#commands.exptimeIn(wholeNumber('delaySeconds', delaySeconds) || Infinity)
    await this.#tracing.run({ operation: 'flushAll', options }, (options) =>
      this.#servers.onAll(flushRequest(delay), options),
    )
  }

  /** Returns each server's version. */
  async version(options?: CallOptions): Promise<Map<string, string>> {
    const lines = await this.#tracing.run({ operation: 'version', options }, (options) =>
      this.#servers.onAll(VERSION_OF_SERVER, options),
    )
    return new Map([...lines].map(([server, [line]]) => [server, line?.replace('VERSION ', '') ?? '']))
  }

  /** Returns for each server `undefined` if it responds, otherwise the error. Never rejects. */
  async ping(options?: CallOptions): Promise<Map<string, Error | undefined>> {
    try {
      return await this.#tracing.run({ operation: 'version', options }, (options) =>
        this.#servers.failuresOn(VERSION_OF_SERVER, options),
      )
    } catch (error) {
      // The client was closed, or no servers are known yet: all servers have the same error.
      const { servers } = this.#options
      return new Map(servers.map(({ name }) => [name, error as Error]))
    }
  }

  /** Returns each server's statistics: the general ones, or a form such as `items`. Numeric values are numbers. */
  stats(form?: undefined, options?: CallOptions): Promise<Map<string, ServerStatistics>>
  stats(form: string, options?: CallOptions): Promise<Map<string, Record<string, string | number>>>
  async stats(form?: string, options?: CallOptions): Promise<Map<string, Record<string, string | number>>> {
    const request = statisticsRequest(form)
    const lines = await this.#tracing.run({ operation: 'stats', options }, (options) =>
      this.#servers.onAll(request, options),
    )
    return new Map([...lines].map(([server, of]) => [server, readStatistics(of)]))
  }

  /**
   * Lists the items of the servers, one by one (`lru_crawler metadump`, protocol.txt, "LRU Crawler"), on separate
   * connections, so that other operations need not wait. Items that are stored or removed during the dump may be
   * missed, and one that memcached moves between its lists meanwhile may be visited twice. The call resolves when all
   * items were visited, and the promises of an async visitor are fulfilled; it rejects at the first error of a server
   * or the visitor, after which no more items are visited.
   *
   * @throws MemcacheServerError if a server refuses; it is `retryable` if the server is busy with another dump.
   * @throws MemcacheUnsupportedError on a server that demands SASL.
   */
  async metadump(visit: (item: DumpedItem) => unknown, options?: MetadumpOptions): Promise<void> {
    checkNames('metadump', options)
    checkCall(options)
    if (typeof visit !== 'function') throw new MemcacheOptionError(`visit must be a function, got ${kindOf(visit)}`)
    const limited = { timeoutMs: METADUMP_TIMEOUT_MS, ...options }
    await this.#tracing.run({ operation: 'metadump', options: limited }, async (options) => {
      const pools = options?.server === undefined ? this.#dispatcher.pools : [this.#dispatcher.poolFor('', options)]
      await this.#dumps.dump(pools, visit, options)
    })
  }

  /** Returns the name of the server of a key; `undefined` while discovery is pending. */
  serverOf(key: ClientKey): string | undefined {
    const { pools } = this.#dispatcher
    if (pools.length === 0) return undefined
    if (pools.length === 1) return pools[0]!.address.name
    return this.#dispatcher.poolFor(this.#dispatcher.wireKey(key)).address.name
  }

  /** Sets the log level of every server: 0 for errors only, 1 for warnings too, 2 for commands too. */
  async verbosity(level: number, options?: CallOptions): Promise<void> {
    const request = verbosityRequest(wholeNumber('level', level))
    await this.#tracing.run({ operation: 'verbosity', options }, (options) => this.#servers.onAll(request, options))
  }

  /** Lets operations under way finish, dumps for at most 5 seconds, then closes the connections. */
  async close(): Promise<void> {
    this.#opening.close()
    await Promise.all([this.#commands.finish(), this.#dumps.close()])
    await Promise.all([this.#discovery?.close(), this.#dispatcher.close()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Emits an event; errors of listeners do not affect the client. */
  #emit<Event extends keyof MemcachedClientEvents>(event: Event, ...args: MemcachedClientEvents[Event]): void {
    emitSafely(this, event, ...args)
  }

  #store<Options extends WriteOptions>(
    key: ClientKey,
    value: unknown,
    { mode, ttl, options }: { mode: Exclude<StoreMode, 'set'>; ttl?: Ttl | undefined; options: Options | undefined },
  ): Promise<Written<Options, boolean>> {
    const stored = this.#tracing.run({ operation: mode, key, options }, (options) =>
      this.#commands.store(key, value, { mode, ttl, options, build: isStored }),
    )
    return this.#noReply.written(stored, options)
  }

  async #delete(key: ClientKey, options: CallOptions | undefined): Promise<boolean> {
    return (await this.#commands.delete(key, {}, options)) === 'deleted'
  }

  /** Makes a call for each of many keys, with one deadline for all. */
  #forEach<Given extends ClientKey, Result>(
    { operation, items, options }: BatchCall<Given>,
    begin: (item: readonly [Given, unknown], options: CallOptions) => Promise<Result>,
  ): Promise<MultiResult<Given, Result>> {
    const keys = items.map(([key]) => key)
    const operations = items.length * this.#commands.operationsPerKey
    return this.#tracing.run({ operation, keys, options }, (options) =>
      MultiResult.ofEach(items, startBatch(options, this.#options.timeoutMs, operations), begin),
    )
  }

  async #count<Amount extends number | bigint>(
    key: ClientKey,
    { mode, delta }: { readonly mode: 'incr' | 'decr'; readonly delta: Amount | undefined },
    options: CounterOptions | undefined,
  ): Promise<Widened<Amount> | undefined> {
    const initial = uint64Option('initial', options?.initial)
    const request = { mode, delta: toUint64('delta', delta ?? 1), details: false } as const
    const vivifyExptime = this.#commands.exptime(options?.ttl === undefined ? Infinity : options.ttl)
    const { digits } = await (initial === undefined
      ? this.#commands.count(key, request, options)
      : this.#commands.countOrMake(key, { ...request, initial, vivifyExptime }, options))
    if (digits === undefined) return undefined
    return (typeof delta === 'bigint' ? BigInt(digits) : Number(digits)) as Widened<Amount>
  }

  #discover(): Discovery {
    return new Discovery(this.#options, {
      requested: () => this.#opening.wait(),
      failed: (error) => this.#opening.fail(error),
      lost: (error) => this.#emit('discoveryError', error),
      found: (found) => {
        this.#dispatcher.use(found)
        this.#opening.open()
        this.#emit('servers', this.servers)
      },
    })
  }
}

function nothing(): void {}

function yes(): true {
  return true
}
