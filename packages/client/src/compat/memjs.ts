import { booleanOption, kindOf, MemcacheDecodeError, MemcacheOptionError, positiveOption } from 'memcache-ts-protocol'
import { MemcachedClient } from '../memcached-client.ts'
import type { ItemWithCas } from '../call-results.ts'
import { callBack, Encoded, expiresAtOnce, toTtl } from './conventions.ts'
import type { Callback } from './conventions.ts'
import { memjsCodec } from './presets/npm-clients.ts'
import { messageOf, readValueOf, reportUncaught } from '../errors.ts'
import type { EncodedValue, ValueCodec } from '../values/value-codec.ts'

/** A serializer of memjs, which converts values to bytes and back; the opcode is that of the binary protocol's command. */
export interface MemjsSerializer {
  /** `extras` are the 4 bytes of the client flags and the 4 of the exptime, or empty for `append` and `prepend`. */
  serialize(opcode: number, value: unknown, extras: Buffer | ''): { value: string | Buffer; extras: Buffer | '' }
  /** `extras` are the 4 bytes of the client flags. */
  deserialize(opcode: number, value: Buffer, extras: Buffer): { value: unknown; extras: unknown }
}

/** Options of `Client.create`, by memjs's names; times are in seconds. */
export interface MemjsOptions {
  username?: string | undefined
  password?: string | undefined
  /** The time limit of an operation, in seconds. Default 0.5. */
  timeout?: number | undefined
  /** The time limit for connecting, in seconds. Default twice the `timeout`. */
  conntimeout?: number | undefined
  /** The default lifetime in seconds; 0 never expires, and a number over 30 days is a Unix time. Default 0. */
  expires?: number | undefined
  /** Whether keys go to the next server while theirs is away. Default false. */
  failover?: boolean | undefined
  /** Converts values to bytes and back. Default: text and Buffers are stored unchanged. */
  serializer?: MemjsSerializer | undefined
  /** Receives a message about every failed call. Default: only the caller receives the error. */
  logger?: { log(message: string): void } | undefined
  /**
   * Accepted but ignored: operations are not repeated, servers that are away are always tried again, and connections
   * are always kept alive.
   */
  retries?: number | undefined
  retry_delay?: number | undefined
  failoverTime?: number | undefined
  keepAlive?: boolean | undefined
  keepAliveDelay?: number | undefined
}

/** Options of `set`, `add` and `replace`. */
export interface StoreOptions {
  /** The lifetime in seconds; 0 never expires. */
  expires?: number | undefined
}

/** Options of `increment` and `decrement`. */
export interface CountOptions extends StoreOptions {
  /** The value of a counter that is created. Default 0. */
  initial?: number | undefined
}

/** A value as memjs returns it; a miss has the value `null`. */
export interface MemjsValue {
  value: Buffer | null
  flags: Buffer | null
}

/** The result of counting, if a promise is used. */
export interface MemjsCount {
  success: boolean
  value: number
}

type Stored = string | Buffer
type Done = Callback<[success: boolean]>
type Counted = Callback<[success: boolean, value: number]>
type StoreMode = 'set' | 'add' | 'replace'

/** The arguments of a store: (key, value, options, callback), or in its old order (key, value, callback, expires). */
interface StoreArguments {
  readonly key: string
  readonly value: Stored
  readonly given: StoreOptions | Done | undefined
  readonly last: Done | number | undefined
}

/**
 * The arguments of a count: (key, amount, options, callback), or in its old order (key, amount, callback, expires,
 * initial).
 */
interface CountArguments {
  readonly key: string
  readonly amount: number
  readonly given: CountOptions | Counted | undefined
  readonly last: Counted | number | undefined
  readonly initial: number | undefined
}

type GotStats = Callback<[server: string, stats: Record<string, string> | null]>

const OPCODES = { get: 0, set: 1, add: 2, replace: 3, append: 0x0e, prepend: 0x0f } as const
const FLAGS_BYTES = 4
const EXTRAS_BYTES = 8

/**
 * memjs's client over a `MemcachedClient`: the same methods with promises or callbacks, in their deprecated orders too,
 * Buffers for values, and its names. Unlike memjs, it reports errors instead of dropping them after retries, and
 * distributes keys over several servers by ketama, so a cache that memjs filled on several servers starts cold.
 *
 * @example
 *   const mc = Client.create('localhost:11211')
 *   const { value } = await mc.get('key')
 */
export class Client {
  /** The underlying client, with features that memjs does not have. */
  readonly client: MemcachedClient
  readonly options: MemjsOptions

  /** Use `Client.create`. */
  constructor(client: MemcachedClient, options: MemjsOptions = {}) {
    this.client = client
    this.options = options
  }

  /**
   * Opens servers as `user:pass@host:port,host:port`; default `MEMCACHIER_SERVERS`, `MEMCACHE_SERVERS`,
   * `localhost:11211`.
   *
   * @throws MemcacheOptionError if the servers have different credentials, or an option is invalid.
   */
  static create(servers?: string, options: MemjsOptions = {}): Client {
    const { MEMCACHIER_SERVERS, MEMCACHE_SERVERS, MEMCACHIER_USERNAME, MEMCACHIER_PASSWORD } = process.env
    const { MEMCACHE_USERNAME, MEMCACHE_PASSWORD } = process.env
    const { hosts, username, password } = parseMemjsServers(
      servers || MEMCACHIER_SERVERS || MEMCACHE_SERVERS || 'localhost:11211',
    )
    readValueOf('the options of memjs', () => checkMemjsOptions(options))
    const timeoutMs = (options.timeout ?? 0.5) * 1000
    const client = new MemcachedClient({
      servers: hosts,
      values: VALUES,
      username: username ?? options.username ?? MEMCACHIER_USERNAME ?? MEMCACHE_USERNAME,
      password: password ?? options.password ?? MEMCACHIER_PASSWORD ?? MEMCACHE_PASSWORD,
      timeoutMs,
      connectTimeoutMs: options.conntimeout === undefined ? timeoutMs * 2 : options.conntimeout * 1000,
      failover: options.failover === true ? 'next' : 'none',
    })
    return new Client(client, options)
  }

  /** The servers, as `host` and `port`. */
  get servers(): { host: string; port: number }[] {
    return this.client.servers.map((server) => {
      const colon = server.lastIndexOf(':')
      // The path of a unix socket has no port.
      if (colon === -1) return { host: server, port: 0 }
      return { host: server.slice(0, colon), port: Number(server.slice(colon + 1)) }
    })
  }

  get(key: string): Promise<MemjsValue>
  get(key: string, callback: Callback<[value: Buffer | null, flags: Buffer | null]>): void
  get(key: string, callback?: Callback<[Buffer | null, Buffer | null]>): Promise<MemjsValue> | void {
    const found = this.#call('GET', async () => this.#value(await this.client.gets<Buffer>(key)))
    return callBack<MemjsValue, [Buffer | null, Buffer | null]>(found, callback, ({ value, flags }) => [value, flags])
  }

  set(key: string, value: Stored, options?: StoreOptions): Promise<boolean>
  set(key: string, value: Stored, options: StoreOptions | undefined, callback: Done): void
  set(key: string, value: Stored, callback: Done, expires?: number): void
  set(key: string, value: Stored, options?: StoreOptions | Done, callback?: Done | number): Promise<boolean> | void {
    return this.#store('set', { key, value, given: options, last: callback })
  }

  add(key: string, value: Stored, options?: StoreOptions): Promise<boolean>
  add(key: string, value: Stored, options: StoreOptions | undefined, callback: Done): void
  add(key: string, value: Stored, callback: Done, expires?: number): void
  add(key: string, value: Stored, options?: StoreOptions | Done, callback?: Done | number): Promise<boolean> | void {
    return this.#store('add', { key, value, given: options, last: callback })
  }

  replace(key: string, value: Stored, options?: StoreOptions): Promise<boolean>
  replace(key: string, value: Stored, options: StoreOptions | undefined, callback: Done): void
  replace(key: string, value: Stored, callback: Done, expires?: number): void
  replace(
    key: string,
    value: Stored,
    options?: StoreOptions | Done,
    callback?: Done | number,
  ): Promise<boolean> | void {
    return this.#store('replace', { key, value, given: options, last: callback })
  }

  delete(key: string): Promise<boolean>
  delete(key: string, callback: Done): void
  delete(key: string, callback?: Done): Promise<boolean> | void {
    const deleted = this.#call('DELETE', () => this.client.delete(key))
    return callBack(deleted, callback, alone)
  }

  increment(key: string, amount: number, options?: CountOptions): Promise<MemjsCount>
  increment(key: string, amount: number, options: CountOptions | undefined, callback: Counted): void
  increment(key: string, amount: number, callback: Counted, expires?: number, initial?: number): void
  increment(
    key: string,
    amount: number,
    options?: CountOptions | Counted,
    callback?: Counted | number,
    initial?: number,
  ): Promise<MemjsCount> | void {
    return this.#count('incr', { key, amount, given: options, last: callback, initial })
  }

  decrement(key: string, amount: number, options?: CountOptions): Promise<MemjsCount>
  decrement(key: string, amount: number, options: CountOptions | undefined, callback: Counted): void
  decrement(key: string, amount: number, callback: Counted, expires?: number, initial?: number): void
  decrement(
    key: string,
    amount: number,
    options?: CountOptions | Counted,
    callback?: Counted | number,
    initial?: number,
  ): Promise<MemjsCount> | void {
    return this.#count('decr', { key, amount, given: options, last: callback, initial })
  }

  append(key: string, value: Stored): Promise<boolean>
  append(key: string, value: Stored, callback: Done): void
  append(key: string, value: Stored, callback?: Done): Promise<boolean> | void {
    const appended = this.#call('APPEND', () => this.client.append(key, this.#fragment(OPCODES.append, value)))
    return callBack(appended, callback, alone)
  }

  prepend(key: string, value: Stored): Promise<boolean>
  prepend(key: string, value: Stored, callback: Done): void
  prepend(key: string, value: Stored, callback?: Done): Promise<boolean> | void {
    const prepended = this.#call('PREPEND', () => this.client.prepend(key, this.#fragment(OPCODES.prepend, value)))
    return callBack(prepended, callback, alone)
  }

  touch(key: string, expires?: number): Promise<boolean>
  touch(key: string, expires: number | undefined, callback: Done): void
  touch(key: string, expires?: number, callback?: Done): Promise<boolean> | void {
    const touched = this.#call('TOUCH', () => {
      const seconds = this.#expires(expires)
      return expiresAtOnce(seconds) ? this.client.delete(key) : this.client.touch(key, toTtl(seconds))
    })
    return callBack(touched, callback, alone)
  }

  /**
   * Empties all servers; returns `true` or the error for each `host:port`. A callback's error is that of the last
   * server that failed.
   */
  flush(): Promise<Record<string, true | Error>>
  flush(callback: (error: Error | null, results: Record<string, true | Error>) => void): void
  flush(
    callback?: (error: Error | null, results: Record<string, true | Error>) => void,
  ): Promise<Record<string, true | Error>> | void {
    let lastError: Error | null = null
    const flushed = Promise.all(
      this.client.servers.map(async (server): Promise<[string, true | Error]> => {
        try {
          await this.#call('FLUSH', () => this.client.flushAll(0, { server }))
          return [server, true]
        } catch (error) {
          lastError = error as Error
          return [server, lastError]
        }
      }),
    ).then((results) => Object.fromEntries(results))
    if (typeof callback !== 'function')
      return flushed.then((results) => (lastError === null ? results : Promise.reject(lastError)))
    void flushed.then((results) => process.nextTick(callback, lastError, results))
  }

  /** Calls back once for each server. */
  stats(callback: GotStats): void {
    this.statsWithKey('', callback)
  }

  /** Calls back once for each server, with statistics of a form such as `items`. */
  statsWithKey(key: string, callback?: GotStats): void {
    for (const server of this.client.servers) {
      const found = this.#call(`STATS (${key})`, async () => {
        const all = await this.client.stats((key === '' ? undefined : key) as string, { server })
        return Object.entries(all.get(server)!).filter(([name]) => name !== '')
      })
      found.then(
        (stats) => {
          const texts = Object.fromEntries(stats.map(([name, value]) => [name, String(value)]))
          if (typeof callback === 'function') process.nextTick(callback, null, server, texts)
        },
        (error: Error) => {
          if (typeof callback === 'function') process.nextTick(callback, error, server, null)
        },
      )
    }
  }

  /** Sets the servers' counts back to zero; calls back once for each. */
  resetStats(callback?: GotStats): void {
    this.statsWithKey('reset', callback)
  }

  /** Lets pending operations finish, then closes the connections. */
  quit(): void {
    void this.client.close()
  }

  close(): void {
    void this.client.close()
  }

  #expires(seconds: number | undefined): number {
    if (seconds !== undefined && typeof seconds !== 'number') throw invalidExpires(seconds)
    // Like in memjs, 0 counts as no lifetime.
    return seconds || (this.options.expires ?? 0)
  }

  #store(mode: StoreMode, { key, value, given, last }: StoreArguments): Promise<boolean> | void {
    const isOld = typeof given === 'function'
    const options = isOld ? { expires: last as number | undefined } : given
    const callback = isOld ? given : (last as Done | undefined)
    const stored = this.#call(mode.toUpperCase(), () => {
      return this.#storeEncoded(mode, key, this.#serialized(OPCODES[mode], value, this.#expires(options?.expires)))
    })
    return callBack(stored, callback, alone)
  }

  async #storeEncoded(mode: StoreMode, key: string, { bytes, clientFlags, exptime }: Serialized): Promise<boolean> {
    if (!expiresAtOnce(exptime)) {
      const value = new Encoded(bytes, clientFlags)
      if (mode !== 'set') return this.client[mode](key, value, toTtl(exptime))
      await this.client.set(key, value, toTtl(exptime))
      return true
    }
    if (mode === 'add') return (await this.client.gets(key)) === undefined
    const wasThere = await this.client.delete(key)
    return mode === 'set' || wasThere
  }

  #count(mode: 'incr' | 'decr', { key, amount, given, last, initial }: CountArguments): Promise<MemjsCount> | void {
    const isOld = typeof given === 'function'
    const options = isOld ? { expires: last as number | undefined, initial } : given
    const callback = isOld ? given : (last as Counted | undefined)
    const counted = this.#call(mode === 'incr' ? 'INCREMENT' : 'DECREMENT', async () => {
      const made = { initial: options?.initial ?? 0, ttl: toTtl(this.#expires(options?.expires)) }
      return { success: true, value: (await this.client[mode](key, amount, made))! }
    })
    return callBack<MemjsCount, [boolean, number]>(counted, callback, ({ success, value }) => [success, value])
  }

  #value(item: ItemWithCas<Buffer> | undefined): MemjsValue {
    if (item === undefined) return { value: null, flags: null }
    const flags = Buffer.alloc(FLAGS_BYTES)
    flags.writeUInt32BE(item.clientFlags)
    const { serializer } = this.options
    if (serializer === undefined) return { value: item.value, flags }
    try {
      const { value, extras } = serializer.deserialize(OPCODES.get, item.value, flags)
      return { value: value as Buffer, flags: extras as Buffer }
    } catch (cause) {
      throw new MemcacheDecodeError(`the serializer cannot read the value: ${messageOf(cause)}`, { cause })
    }
  }

  #serialized(opcode: number, given: unknown, exptime: number): Serialized {
    const { serializer } = this.options
    if (serializer === undefined) return { ...PLAIN.encode(given), exptime }
    try {
      const before = Buffer.alloc(EXTRAS_BYTES)
      before.writeUInt32BE(exptime, FLAGS_BYTES)
      const { value, extras } = serializer.serialize(opcode, given, before)
      const after = Buffer.from(extras)
      return { ...PLAIN.encode(value), clientFlags: after.readUInt32BE(0), exptime: after.readUInt32BE(FLAGS_BYTES) }
    } catch (cause) {
      throw new MemcacheOptionError(`the serializer cannot write the value: ${messageOf(cause)}`, { cause })
    }
  }

  #fragment(opcode: number, given: unknown): string | Buffer {
    const { serializer } = this.options
    if (serializer === undefined) return PLAIN.encode(given).bytes
    try {
      return PLAIN.encode(serializer.serialize(opcode, given, '').value).bytes
    } catch (cause) {
      throw new MemcacheOptionError(`the serializer cannot write the value: ${messageOf(cause)}`, { cause })
    }
  }

  /** Runs a call, and passes its errors to the logger. */
  async #call<Result>(name: string, run: () => Promise<Result> | Result): Promise<Result> {
    try {
      return await run()
    } catch (error) {
      this.#log(`MemJS ${name}: ${messageOf(error)}`)
      throw error
    }
  }

  /** Passes a message to the logger, whose exceptions are not those of the call. */
  #log(message: string): void {
    try {
      this.options.logger?.log(message)
    } catch (error) {
      reportUncaught(error)
    }
  }
}

interface Serialized extends EncodedValue {
  readonly exptime: number
}

const PLAIN = memjsCodec()
/** The codec of memjs's values; values to be stored were encoded before. */
const VALUES: ValueCodec = {
  encode: (value) => (value instanceof Encoded ? value : PLAIN.encode(value)),
  // A serializer has its own client flags, and decides which bytes are joined.
  canJoin: () => true,
  decode: (bytes, clientFlags) => PLAIN.decode(bytes, clientFlags),
}

/** @throws MemcacheOptionError if an option that has an effect is invalid. The client checks the credentials. */
function checkMemjsOptions(options: MemjsOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new MemcacheOptionError(`the options of memjs must be an object, got ${kindOf(options)}`)
  }
  const { expires, failover, serializer, logger } = options
  for (const name of ['timeout', 'conntimeout'] as const) {
    if (options[name] !== undefined) positiveOption(name, options[name])
  }
  if (expires !== undefined && !(typeof expires === 'number' && !Number.isNaN(expires))) throw invalidExpires(expires)
  if (failover !== undefined) booleanOption('failover', failover)
  checkMethods('serializer', serializer, ['serialize', 'deserialize'])
  checkMethods('logger', logger, ['log'])
}

function invalidExpires(expires: unknown): MemcacheOptionError {
  const got = typeof expires === 'number' ? expires : kindOf(expires)
  return new MemcacheOptionError(`expires must be a number of seconds, got ${got}`)
}

function checkMethods(name: string, given: object | undefined, methods: readonly string[]): void {
  if (given === undefined) return
  const missing = methods.find((method) => typeof (given as Record<string, unknown> | null)?.[method] !== 'function')
  if (missing !== undefined)
    throw new MemcacheOptionError(`${name} must have the method ${missing}, got ${kindOf(given)}`)
}

interface MemjsServers {
  readonly hosts: string
  readonly username: string | undefined
  readonly password: string | undefined
}

/** Parses `user:pass@host:port,host:port`, in which any server may have the credentials. */
function parseMemjsServers(list: string): MemjsServers {
  if (typeof list !== 'string') throw new MemcacheOptionError(`the servers must be text, got ${kindOf(list)}`)
  const credentials = new Set<string>()
  const hosts = list.split(',').map((server) => {
    const at = server.lastIndexOf('@')
    if (at > 0) credentials.add(server.slice(0, at))
    return server.slice(at + 1)
  })
  if (credentials.size > 1) {
    throw new MemcacheOptionError('the servers have different credentials: open a client for each')
  }
  const [found = ''] = credentials
  const colon = found.indexOf(':')
  if (colon === -1) return { hosts: hosts.join(','), username: undefined, password: undefined }
  return { hosts: hosts.join(','), username: found.slice(0, colon), password: found.slice(colon + 1) }
}

function alone<Result>(result: Result): [Result] {
  return [result]
}
