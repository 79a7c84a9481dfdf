import { EventEmitter } from 'node:events'
import {
  formatFlushAll,
  formatStats,
  formatVerbosity,
  kindOf,
  MemcacheOptionError,
  Opcode,
  refuseSecondOptions,
} from 'memcache-ts-protocol'
import type { MemcacheError, Ttl } from 'memcache-ts-protocol'
import { checkCall, startCall, wantsNoReply } from './call-deadline.ts'
import { checkNames, hasKnownNames } from './call-option-names.ts'
import type { CallOptions, ClientKey, CounterOptions, WriteOptions, Written } from './call-options.ts'
import { checkStatsForm, pairsOf, toUint64, uint64Option, wholeNumber } from './argument-checks.ts'
import { Commands } from './commands.ts'
import { VERSION_REQUEST } from './connection/handshake.ts'
import { Discovery } from './discovery/discovery.ts'
import { Opening } from './discovery/opening.ts'
import type { ConnectionReport } from './connection/connection-contract.ts'
import { Dispatcher } from './dispatcher.ts'
import { emitSafely } from './emit-safely.ts'
import { casStatus, hitValue, isStored, itemWithCas, withCas } from './item-results.ts'
import type { ItemWithCas } from './item-results.ts'
import { metadump, METADUMP_TIMEOUT_MS } from './metadump.ts'
import type { DumpedItem, MetadumpOptions } from './metadump.ts'
import { MetaCommands } from './meta-commands.ts'
import type { Widened } from './meta-commands.ts'
import { MultiResult } from './operations/multi-result.ts'
import type { MultiGetResult } from './operations/multi-result.ts'
import { resolveClientOptions } from './options.ts'
import type { MemcachedClientOptions, ResolvedClientOptions } from './options.ts'
import { ServerCommands } from './server-commands.ts'
import { readStatistics } from './server-statistics.ts'
import type { ServerStatistics } from './server-statistics.ts'
import { operationChannel, Tracing } from './tracing.ts'

/** Events of a `MemcachedClient`; it never emits `error`. */
export interface MemcachedClientEvents {
  connect: [server: string]
  /** With an error, unless the server closed a connection without pending operations. */
  disconnect: [server: string, error: MemcacheError | undefined]
  reconnecting: [server: string, delayMs: number]
  /** The server does not respond; its keys go where `failover` says. */
  eject: [server: string, error: MemcacheError]
  /** The server responds again. */
  rejoin: [server: string]
  /** Discovery found that these are the servers now. */
  servers: [servers: string[]]
}

/**
 * A memcached client: pipelined on few connections, with one write per turn of the loop; a response never reaches
 * another request. Faults reject with a `MemcacheError`; a miss is `undefined`.
 *
 * @example
 *   await using client = new MemcachedClient('127.0.0.1:11211')
 *   await client.set('hello', 'world', 3600)
 *   await client.get<string>('hello') // 'world'
 */
export class MemcachedClient extends EventEmitter<MemcachedClientEvents> implements AsyncDisposable {
  /** The meta commands, their flags spelled out. */
  readonly meta: MetaCommands
  readonly #options: ResolvedClientOptions
  readonly #dispatcher: Dispatcher
  readonly #commands: Commands
  readonly #servers: ServerCommands
  readonly #opening = new Opening()
  readonly #tracing: Tracing
  readonly #discovery: Discovery | undefined

  /** @throws MemcacheOptionError if an option is unknown or invalid. */
  constructor(options: string | MemcachedClientOptions = {}, ...others: never[]) {
    super()
    refuseSecondOptions('MemcachedClient', others)
    this.#options = resolveClientOptions(typeof options === 'string' ? { servers: options } : options)
    const { servers, discovery } = this.#options
    this.#dispatcher = new Dispatcher(this.#options, {
      connected: (server) => this.#tell('connect', server),
      disconnected: (server, error) => this.#tell('disconnect', server, error),
      retrying: (server, delayMs) => this.#tell('reconnecting', server, delayMs),
      ejected: (server, error) => {
        this.#discovery?.refresh()
        this.#tell('eject', server, error)
      },
      rejoined: (server) => this.#tell('rejoin', server),
    })
    this.#commands = new Commands(this.#dispatcher, this.#options)
    this.#servers = new ServerCommands(this.#dispatcher)
    this.#tracing = new Tracing(this.#dispatcher, this.#opening, this.#options.timeoutMs)
    this.meta = new MetaCommands(this.#commands, this.#servers, this.#tracing)
    if (discovery) {
      this.#discovery = this.#discover()
    } else {
      this.#dispatcher.use(servers)
      this.#opening.open()
    }
  }

  /** The servers' names, in their order. */
  get servers(): string[] {
    return this.#dispatcher.pools.map((pool) => pool.address.name)
  }

  /** Returns the connections to all servers: their states, and how many callers wait on each. */
  connections(): ConnectionReport[] {
    return this.#dispatcher.pools.flatMap((pool) => pool.report())
  }

  /** What is put before every key, `:` included. */
  get prefix(): string {
    return this.#options.prefix
  }

  /** Returns whether an operation may begin at once, without `Tracing.run`. */
  #isDirect(operation: string, options: CallOptions | undefined): boolean {
    if (!this.#opening.isOpen || operationChannel.hasSubscribers) return false
    return options === undefined || hasKnownNames(operation, options)
  }

  // Retrieval

  /** The value of a key; `undefined` is a miss, `null` a stored null. */
  get<Value = unknown>(key: ClientKey, options?: CallOptions): Promise<Value | undefined> {
    if (this.#isDirect('get', options)) return this.#commands.get(key, options)
    return this.#tracing.run({ operation: 'get', key, options }, (options) => this.#commands.get(key, options))
  }

  /** The value with its cas unique; `undefined` is a miss. */
  gets<Value = unknown>(key: ClientKey, options?: CallOptions): Promise<ItemWithCas<Value> | undefined> {
    const request = { value: true, casUnique: true }
    return this.#tracing.run({ operation: 'gets', key, options }, (options) =>
      this.#commands.retrieve(key, request, options, withCas<Value>),
    )
  }

  /** Returns the value and sets its lifetime; `undefined` is a miss. */
  gat<Value = unknown>(key: ClientKey, ttl: Ttl, options?: CallOptions): Promise<Value | undefined> {
    return this.#tracing.run({ operation: 'gat', key, options }, async (options) => {
      const request = { value: true, touchExptime: this.#commands.exptime(ttl) }
      return this.#commands.retrieve(key, request, options, hitValue<Value>)
    })
  }

  /** Returns the value with its cas unique, and sets its lifetime; `undefined` is a miss. */
  gats<Value = unknown>(key: ClientKey, ttl: Ttl, options?: CallOptions): Promise<ItemWithCas<Value> | undefined> {
    return this.#tracing.run({ operation: 'gats', key, options }, async (options) => {
      const request = { value: true, casUnique: true, touchExptime: this.#commands.exptime(ttl) }
      return this.#commands.retrieve(key, request, options, withCas<Value>)
    })
  }

  /**
   * The hits among many keys, in one round trip a connection. What fails for a key costs the others nothing: it is in
   * `errors`, by its server or, where it is a fault of the key or its value, by the key, and in `keyErrors`. Rejects
   * only when all servers fail.
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

  /** As `getMulti`, each hit with its cas unique. */
  getsMulti<Value = unknown, Given extends ClientKey = ClientKey>(
    keys: readonly Given[],
    options?: CallOptions,
  ): Promise<MultiGetResult<Given, ItemWithCas<Value>>> {
    return this.#tracing.run({ operation: 'getsMulti', keys, options }, (options) =>
      this.#commands.getsMulti(keys, options, itemWithCas<Value>),
    )
  }

  // Storage

  /** Stores a value. Without a lifetime it stays until it is evicted. */
  set(key: ClientKey, value: unknown, ttl?: Ttl, options?: WriteOptions): Promise<void> {
    const commands = this.#commands
    if (this.#isDirect('set', options)) {
      return this.#written(commands.store(key, value, { mode: 'set', ttl, options, build: nothing }), options)
    }
    const set = this.#tracing.run({ operation: 'set', key, options }, (options) =>
      commands.store(key, value, { mode: 'set', ttl, options, build: nothing }),
    )
    return this.#written(set, options)
  }

  /**
   * Stores many values, each as by `set`, with one deadline for all. Returns the keys that were stored, with `true`;
   * those that failed are in `errors` and `keyErrors`. Rejects only when all fail.
   *
   * @param items keys and their values: a `Map`, or pairs.
   */
  async setMulti<Given extends ClientKey>(
    items: Iterable<readonly [Given, unknown]>,
    ttl?: Ttl,
    options?: CallOptions,
  ): Promise<MultiResult<Given, true>> {
    return this.#forEach('setMulti', pairsOf(items), options, ([key, value], options) =>
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
    return this.#store('add', key, value, ttl, options)
  }

  /** Stores a value if the key has one; returns whether it did. */
  replace<Options extends WriteOptions>(
    key: ClientKey,
    value: unknown,
    ttl?: Ttl,
    options?: Options,
  ): Promise<Written<Options, boolean>> {
    return this.#store('replace', key, value, ttl, options)
  }

  /**
   * Puts bytes behind a stored text or bytes, which keeps its lifetime; returns whether there was one.
   *
   * @throws MemcacheOptionError if the stored value is compressed, in chunks, JSON or typed; it stays as it is.
   */
  append<Options extends WriteOptions>(
    key: ClientKey,
    value: string | Uint8Array,
    options?: Options,
  ): Promise<Written<Options, boolean>> {
    return this.#store('append', key, value, undefined, options)
  }

  /**
   * Puts bytes before a stored text or bytes, which keeps its lifetime; returns whether there was one.
   *
   * @throws MemcacheOptionError if the stored value is compressed, in chunks, JSON or typed; it stays as it is.
   */
  prepend<Options extends WriteOptions>(
    key: ClientKey,
    value: string | Uint8Array,
    options?: Options,
  ): Promise<Written<Options, boolean>> {
    return this.#store('prepend', key, value, undefined, options)
  }

  /** Stores a value in place of the one that `gets` returned; `exists` when it has changed since. */
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

  /** Sets the lifetime of an item; returns whether there was one. */
  touch<Options extends WriteOptions>(key: ClientKey, ttl: Ttl, options?: Options): Promise<Written<Options, boolean>> {
    const touched = this.#tracing.run({ operation: 'touch', key, options }, async (options) =>
      this.#commands.touch(key, this.#commands.exptime(ttl), options),
    )
    return this.#written(touched, options)
  }

  /** Deletes an item; returns whether there was one. */
  delete<Options extends WriteOptions>(key: ClientKey, options?: Options): Promise<Written<Options, boolean>> {
    return this.#written(
      this.#tracing.run({ operation: 'delete', key, options }, (options) => this.#delete(key, options)),
      options,
    )
  }

  /**
   * Deletes many items, with one deadline for all. Returns for each key whether there was an item; the keys that failed
   * are in `errors` and `keyErrors`. Rejects only when all fail.
   */
  async deleteMulti<Given extends ClientKey>(
    keys: readonly Given[],
    options?: CallOptions,
  ): Promise<MultiResult<Given, boolean>> {
    if (!Array.isArray(keys)) throw new MemcacheOptionError(`the keys must be an array, got ${kindOf(keys)}`)
    const all = keys.map((key: Given): readonly [Given, undefined] => [key, undefined])
    return this.#forEach('deleteMulti', all, options, ([key], options) => this.#delete(key, options))
  }

  // Counters

  /** Adds to a counter; `undefined` is a miss, unless `initial` says what to start with. Given a bigint, exact to 2^64. */
  incr<Amount extends number | bigint = number>(
    key: ClientKey,
    delta?: Amount,
    options?: CounterOptions,
  ): Promise<Widened<Amount> | undefined> {
    return this.#written(
      this.#tracing.run({ operation: 'incr', key, options }, (options) => this.#count('incr', key, delta, options)),
      options,
    )
  }

  /** Takes from a counter, down to 0; `undefined` is a miss, unless `initial` says what to start with. */
  decr<Amount extends number | bigint = number>(
    key: ClientKey,
    delta?: Amount,
    options?: CounterOptions,
  ): Promise<Widened<Amount> | undefined> {
    return this.#written(
      this.#tracing.run({ operation: 'decr', key, options }, (options) => this.#count('decr', key, delta, options)),
      options,
    )
  }

  // Servers

  /** Forgets everything on all servers, now or in so many seconds. */
  async flushAll(delaySeconds = 0, options?: CallOptions): Promise<void> {
    const delay = this.#commands.exptimeIn(wholeNumber('delaySeconds', delaySeconds) || Infinity)
    const extra = delay > 0 ? { extra: delay } : {}
    const request = { text: formatFlushAll(delay), writes: true, binary: { opcode: Opcode.flush, ...extra } }
    await this.#tracing.run({ operation: 'flushAll', options }, (options) => this.#servers.onAll(request, options))
  }

  /** Returns each server's version. */
  async version(options?: CallOptions): Promise<Map<string, string>> {
    const lines = await this.#tracing.run({ operation: 'version', options }, (options) =>
      this.#servers.onAll(VERSION_REQUEST, options),
    )
    return new Map([...lines].map(([server, [line]]) => [server, line?.replace('VERSION ', '') ?? '']))
  }

  /** Returns whether each server responds: `undefined` if so, else the error. Never rejects. */
  async ping(options?: CallOptions): Promise<Map<string, Error | undefined>> {
    try {
      return await this.#tracing.run({ operation: 'version', options }, (options) =>
        this.#servers.failuresOn(VERSION_REQUEST, options),
      )
    } catch (error) {
      // Closed, or no servers are known yet: the same is true of all.
      const { servers } = this.#options
      return new Map(servers.map(({ name }) => [name, error as Error]))
    }
  }

  /** Returns each server's statistics: the general ones, or a form such as `items`. What looks like a number is one. */
  stats(form?: undefined, options?: CallOptions): Promise<Map<string, ServerStatistics>>
  stats(form: string, options?: CallOptions): Promise<Map<string, Record<string, string | number>>>
  async stats(form?: string, options?: CallOptions): Promise<Map<string, Record<string, string | number>>> {
    if (form !== undefined) checkStatsForm(form)
    const binary = { opcode: Opcode.stat, ...(form === undefined ? {} : { key: form }) }
    const lines = await this.#tracing.run({ operation: 'stats', options }, (options) =>
      this.#servers.onAll({ text: formatStats(form), untilEnd: true, lists: STATISTICS_LINE, binary }, options),
    )
    return new Map([...lines].map(([server, of]) => [server, readStatistics(of)]))
  }

  /**
   * Lists the items of the servers, one by one (`lru_crawler metadump`, protocol.txt, "LRU Crawler"), on connections of
   * their own that others need not wait for. The servers go on meanwhile: what comes or goes in that time may be
   * missed.
   *
   * @throws MemcacheServerError where a server refuses, `retryable` while it is busy with another one.
   * @throws MemcacheUnsupportedError on a server that demands SASL.
   */
  async metadump(visit: (item: DumpedItem) => void, options?: MetadumpOptions): Promise<void> {
    checkNames('metadump', options)
    checkCall(options)
    if (typeof visit !== 'function') throw new MemcacheOptionError(`visit must be a function, got ${kindOf(visit)}`)
    const limited = { timeoutMs: METADUMP_TIMEOUT_MS, ...options }
    await this.#tracing.run({ operation: 'metadump', options: limited }, async (options) => {
      const pools = options?.server === undefined ? this.#dispatcher.pools : [this.#dispatcher.poolFor('', options)]
      await Promise.all(pools.map(({ address }) => metadump(address, this.#options, visit, options)))
    })
  }

  /** Returns the name of the server of a key; `undefined` while discovery is pending. */
  serverOf(key: ClientKey): string | undefined {
    const { pools } = this.#dispatcher
    if (pools.length === 0) return undefined
    if (pools.length === 1) return pools[0]!.address.name
    return this.#dispatcher.poolFor(this.#dispatcher.wireKey(key)).address.name
  }

  /** Sets how much every server writes to its log: 0 is errors alone, 1 warnings, 2 commands too. */
  async verbosity(level: number, options?: CallOptions): Promise<void> {
    wholeNumber('level', level)
    const request = { text: formatVerbosity(level), writes: true, binary: { opcode: Opcode.verbosity, extra: level } }
    await this.#tracing.run({ operation: 'verbosity', options }, (options) => this.#servers.onAll(request, options))
  }

  /** Lets operations under way finish, then closes the connections. */
  async close(): Promise<void> {
    this.#opening.close()
    await this.#commands.finish()
    await Promise.all([this.#discovery?.close(), this.#dispatcher.close()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Emits an event; what a listener throws is not the client's. */
  #tell<Event extends keyof MemcachedClientEvents>(event: Event, ...args: MemcachedClientEvents[Event]): void {
    emitSafely(this, event, ...args)
  }

  /**
   * With `noreply`, the promise resolves when the request is handed to its connection; an invalid call still rejects.
   * The request has a response all the same, which is read like any other, so that the order of responses never depends
   * on which errors a server reports.
   */
  #written<Result, Options extends WriteOptions>(
    call: Promise<Result>,
    options: Options | undefined,
  ): Promise<Written<Options, Result>> {
    if (!wantsNoReply(options)) return call as Promise<Written<Options, Result>>
    const handedOn = this.#opening.isOpen ? undefined : new Promise((resolve) => setImmediate(resolve))
    return Promise.race([call, handedOn]).then(nothing) as Promise<Written<Options, Result>>
  }

  #store<Options extends WriteOptions>(
    mode: 'add' | 'replace' | 'append' | 'prepend',
    key: ClientKey,
    value: unknown,
    ttl: Ttl | undefined,
    options: Options | undefined,
  ): Promise<Written<Options, boolean>> {
    const stored = this.#tracing.run({ operation: mode, key, options }, (options) =>
      this.#commands.store(key, value, { mode, ttl, options, build: isStored }),
    )
    return this.#written(stored, options)
  }

  async #delete(key: ClientKey, options: CallOptions | undefined): Promise<boolean> {
    return (await this.#commands.delete(key, {}, options)) === 'deleted'
  }

  /** Does something for each of many keys, with one deadline for all. */
  #forEach<Given extends ClientKey, Result>(
    operation: string,
    items: readonly (readonly [Given, unknown])[],
    options: CallOptions | undefined,
    begin: (item: readonly [Given, unknown], options: CallOptions) => Promise<Result>,
  ): Promise<MultiResult<Given, Result>> {
    const keys = items.map(([key]) => key)
    return this.#tracing.run({ operation, keys, options }, (options) =>
      MultiResult.ofEach(items, startCall(options, this.#options.timeoutMs), begin),
    )
  }

  async #count<Amount extends number | bigint>(
    mode: 'incr' | 'decr',
    key: ClientKey,
    delta: Amount | undefined,
    options: CounterOptions | undefined,
  ): Promise<Widened<Amount> | undefined> {
    const initial = uint64Option('initial', options?.initial)
    const request = { mode, delta: toUint64('delta', delta ?? 1), details: false } as const
    const vivifyExptime = this.#commands.exptime(options?.ttl ?? Infinity)
    const { digits } = await (initial === undefined
      ? this.#commands.count(key, request, options)
      : this.#commands.countOrMake(key, { ...request, initial, vivifyExptime }, options))
    if (digits === undefined) return undefined
    return (typeof delta === 'bigint' ? BigInt(digits) : Number(digits)) as Widened<Amount>
  }

  #discover(): Discovery {
    const { servers, discoveryIntervalMs } = this.#options
    const discovery = new Discovery(servers, this.#options, discoveryIntervalMs, {
      requested: () => this.#opening.wait(),
      failed: (error) => this.#opening.fail(error),
      found: (found) => {
        this.#dispatcher.use(found)
        this.#opening.open()
        this.#tell('servers', this.servers)
      },
    })
    discovery.refresh()
    return discovery
  }
}

/** What the lines of statistics begin with: of `detail dump` and `cachedump`, too. */
const STATISTICS_LINE = /^(?:STAT|PREFIX|ITEM) /

function nothing(): void {}

function yes(): true {
  return true
}
