import { MemcacheOptionError } from 'memcache-ts-protocol'
import { MemcachedClient } from '../memcached-client.ts'
import type { ItemWithCas } from '../memcached-client.ts'
import { callBack } from './call-back.ts'
import type { Callback } from './call-back.ts'
import { toTtl } from './lifetime.ts'

/** Options of `Client.create`, by memjs's names; times are in seconds. */
export interface MemjsOptions {
  username?: string | undefined
  password?: string | undefined
  /** How long an operation may take, in seconds. Default 0.5. */
  timeout?: number | undefined
  /** How long connecting may take, in seconds. Default twice the `timeout`. */
  conntimeout?: number | undefined
  /** The lifetime of what is stored without one, in seconds; 0 is for ever. Default 0. */
  expires?: number | undefined
  /** Whether keys go to the next server while theirs is away. Default false. */
  failover?: boolean | undefined
  /** Here operations are not repeated, and connections always kept alive: read and left at that. */
  retries?: number | undefined
  retry_delay?: number | undefined
  failoverTime?: number | undefined
  keepAlive?: boolean | undefined
  keepAliveDelay?: number | undefined
  logger?: unknown
}

/** What `set`, `add` and `replace` may be told. */
export interface StoreOptions {
  /** In seconds; 0 is for ever. */
  expires?: number | undefined
}

/** What `increment` and `decrement` may be told. */
export interface CountOptions extends StoreOptions {
  /** What a counter that is not there starts with. Default 0. */
  initial?: number | undefined
}

/** A value as memjs gives it; a miss has the value `null`. */
export interface MemjsValue {
  value: Buffer | null
  flags: Buffer | null
}

const FLAGS_BYTES = 4

/**
 * memjs's client over a `MemcachedClient`: the same methods with promises or callbacks, Buffers for values, and its names.
 * Otherwise than memjs: errors are told, not swallowed after retries; several servers are told apart by ketama, so a cache
 * that was filled by memjs on more than one starts cold; and `serializer` is `values` of a `MemcachedClient`.
 */
export class Client {
  /** What it stands on, for what memjs has not. */
  readonly client: MemcachedClient
  readonly #expires: number

  /** Use `Client.create`. */
  constructor(client: MemcachedClient, expires = 0) {
    this.client = client
    this.#expires = expires
  }

  /** Opens servers as `user:pass@host:port,host:port`; default `MEMCACHIER_SERVERS`, `MEMCACHE_SERVERS`, `localhost:11211`. */
  static create(servers?: string, options: MemjsOptions = {}): Client {
    if ('serializer' in options) {
      throw new MemcacheOptionError("memjs's `serializer` is `values` of a MemcachedClient: use that instead")
    }
    const { MEMCACHIER_SERVERS, MEMCACHE_SERVERS, MEMCACHIER_USERNAME, MEMCACHIER_PASSWORD } = process.env
    const { MEMCACHE_USERNAME, MEMCACHE_PASSWORD } = process.env
    const list = servers ?? MEMCACHIER_SERVERS ?? MEMCACHE_SERVERS ?? 'localhost:11211'
    const [, credentials, hosts = list] = /^(?:([^@,/]+)@)([^@]+)$/.exec(list) ?? []
    const [username, password] = credentials?.split(':') ?? [
      options.username ?? MEMCACHIER_USERNAME ?? MEMCACHE_USERNAME,
      options.password ?? MEMCACHIER_PASSWORD ?? MEMCACHE_PASSWORD,
    ]
    const timeoutMs = (options.timeout ?? 0.5) * 1000
    const client = new MemcachedClient({
      servers: hosts,
      values: 'memjs',
      username,
      password,
      timeoutMs,
      connectTimeoutMs: options.conntimeout === undefined ? timeoutMs * 2 : options.conntimeout * 1000,
      failover: options.failover === true ? 'next' : 'none',
    })
    return new Client(client, options.expires)
  }

  get(key: string): Promise<MemjsValue>
  get(key: string, callback: Callback<[value: Buffer | null, flags: Buffer | null]>): void
  get(key: string, callback?: Callback<[Buffer | null, Buffer | null]>): Promise<MemjsValue> | void {
    const found = this.client.gets<Buffer>(key).then(memjsValue)
    return callBack<MemjsValue, [Buffer | null, Buffer | null]>(found, callback, ({ value, flags }) => [value, flags])
  }

  set(key: string, value: string | Buffer, options?: StoreOptions): Promise<boolean>
  set(
    key: string,
    value: string | Buffer,
    options: StoreOptions | undefined,
    callback: Callback<[success: boolean]>,
  ): void
  set(
    key: string,
    value: string | Buffer,
    options?: StoreOptions,
    callback?: Callback<[boolean]>,
  ): Promise<boolean> | void {
    const stored = this.client.set(key, value, this.#ttl(options)).then(() => true)
    return callBack(stored, callback, alone)
  }

  add(key: string, value: string | Buffer, options?: StoreOptions): Promise<boolean>
  add(
    key: string,
    value: string | Buffer,
    options: StoreOptions | undefined,
    callback: Callback<[success: boolean]>,
  ): void
  add(
    key: string,
    value: string | Buffer,
    options?: StoreOptions,
    callback?: Callback<[boolean]>,
  ): Promise<boolean> | void {
    return callBack(this.client.add(key, value, this.#ttl(options)), callback, alone)
  }

  replace(key: string, value: string | Buffer, options?: StoreOptions): Promise<boolean>
  replace(
    key: string,
    value: string | Buffer,
    options: StoreOptions | undefined,
    callback: Callback<[success: boolean]>,
  ): void
  replace(
    key: string,
    value: string | Buffer,
    options?: StoreOptions,
    callback?: Callback<[boolean]>,
  ): Promise<boolean> | void {
    return callBack(this.client.replace(key, value, this.#ttl(options)), callback, alone)
  }

  delete(key: string): Promise<boolean>
  delete(key: string, callback: Callback<[success: boolean]>): void
  delete(key: string, callback?: Callback<[boolean]>): Promise<boolean> | void {
    return callBack(this.client.delete(key), callback, alone)
  }

  increment(key: string, amount: number, options?: CountOptions): Promise<{ success: boolean; value: number }>
  increment(
    key: string,
    amount: number,
    options: CountOptions | undefined,
    callback: Callback<[success: boolean, value: number]>,
  ): void
  increment(
    key: string,
    amount: number,
    options?: CountOptions,
    callback?: Callback<[boolean, number]>,
  ): Promise<{ success: boolean; value: number }> | void {
    return this.#count('incr', key, amount, options, callback)
  }

  decrement(key: string, amount: number, options?: CountOptions): Promise<{ success: boolean; value: number }>
  decrement(
    key: string,
    amount: number,
    options: CountOptions | undefined,
    callback: Callback<[success: boolean, value: number]>,
  ): void
  decrement(
    key: string,
    amount: number,
    options?: CountOptions,
    callback?: Callback<[boolean, number]>,
  ): Promise<{ success: boolean; value: number }> | void {
    return this.#count('decr', key, amount, options, callback)
  }

  append(key: string, value: string | Buffer): Promise<boolean>
  append(key: string, value: string | Buffer, callback: Callback<[success: boolean]>): void
  append(key: string, value: string | Buffer, callback?: Callback<[boolean]>): Promise<boolean> | void {
    return callBack(this.client.append(key, value), callback, alone)
  }

  prepend(key: string, value: string | Buffer): Promise<boolean>
  prepend(key: string, value: string | Buffer, callback: Callback<[success: boolean]>): void
  prepend(key: string, value: string | Buffer, callback?: Callback<[boolean]>): Promise<boolean> | void {
    return callBack(this.client.prepend(key, value), callback, alone)
  }

  touch(key: string, expires: number): Promise<boolean>
  touch(key: string, expires: number, callback: Callback<[success: boolean]>): void
  touch(key: string, expires: number, callback?: Callback<[boolean]>): Promise<boolean> | void {
    return callBack(this.client.touch(key, toTtl(expires)), callback, alone)
  }

  /** Empties all servers; tells of each, by `host:port`. */
  flush(): Promise<Record<string, boolean>>
  flush(callback: Callback<[results: Record<string, boolean>]>): void
  flush(callback?: Callback<[Record<string, boolean>]>): Promise<Record<string, boolean>> | void {
    const { servers } = this.client
    const flushed = this.client.flushAll().then(() => Object.fromEntries(servers.map((server) => [server, true])))
    return callBack(flushed, callback, alone)
  }

  /** Calls back once for each server. */
  stats(callback: Callback<[server: string, stats: Record<string, string> | null]>): void {
    this.client.stats().then(
      (found) => {
        for (const [server, stats] of found) {
          callback(
            null,
            server,
            Object.fromEntries(Object.entries(stats).map(([name, value]) => [name, String(value)])),
          )
        }
      },
      (error: Error & { server?: string }) => callback(error, error.server ?? '', null),
    )
  }

  /** Lets what was asked be answered, then closes. */
  quit(): void {
    void this.client.close()
  }

  close(): void {
    void this.client.close()
  }

  #ttl(options: StoreOptions | undefined) {
    return toTtl(options?.expires ?? this.#expires)
  }

  #count(
    mode: 'incr' | 'decr',
    key: string,
    amount: number,
    options: CountOptions | undefined,
    callback: Callback<[boolean, number]> | undefined,
  ): Promise<{ success: boolean; value: number }> | void {
    const made = { initial: options?.initial ?? 0, ttl: this.#ttl(options) }
    const counted = this.client[mode](key, amount, made).then((value) => ({ success: true, value: value! }))
    return callBack<{ success: boolean; value: number }, [boolean, number]>(counted, callback, ({ success, value }) => [
      success,
      value,
    ])
  }
}

function memjsValue(item: ItemWithCas<Buffer> | undefined): MemjsValue {
  if (item === undefined) return { value: null, flags: null }
  const flags = Buffer.alloc(FLAGS_BYTES)
  flags.writeUInt32BE(item.clientFlags)
  return { value: item.value, flags }
}

function alone<Result>(result: Result): [Result] {
  return [result]
}
