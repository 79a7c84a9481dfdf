import { EventEmitter } from 'node:events'
import { MemcacheKeyError, MemcacheTooLargeError } from 'memcache-ts-protocol'
import { hashedKey } from '../client-key.ts'
import { MemcachedClient } from '../memcached-client.ts'
import { npmMemcachedCodec } from './presets/npm-clients.ts'
import { cannotWrite } from './presets/preset.ts'
import { guardedCodec } from '../values/create-codec.ts'
import type { ValueCodec } from '../values/value-codec.ts'
import { Encoded, expiresAtOnce, toTtl } from './conventions.ts'
import { invalidArgument, PartialResult, runCall, runMultiCall } from './memcached-call.ts'
import type { CallArguments, MemcachedCallback, MemcachedMultiCallback } from './memcached-call.ts'
import { DEFAULT_CONFIG, resolveMemcachedOptions } from './memcached-options.ts'
import type { MemcachedOptions } from './memcached-options.ts'
import { reportIssues } from './server-issues.ts'
import type { MemcachedEvents } from './server-issues.ts'

export type { MemcachedCall, MemcachedCallback, MemcachedMultiCallback } from './memcached-call.ts'
export type { MemcachedOptions } from './memcached-options.ts'
export type { IssueDetails, MemcachedEvents } from './server-issues.ts'

/** A key; a number is its digits. */
type Name = string | number

/** Statistics of a server, with its name as `server`. */
type Statistics = Record<string, unknown>

/**
 * npm memcached's client over a `MemcachedClient`: the same methods, callbacks, events and values, and the same servers
 * for the same keys. Every method returns a promise if it is called without a callback. Calls that never end in npm
 * memcached fail with an error; keys that are too long are hashed by SHA-256, not MD5.
 *
 * @example
 *   const memcached = new Memcached('localhost:11211')
 *   memcached.get('key', (error, value) => …)
 */
export class Memcached extends EventEmitter<MemcachedEvents> {
  /** The default options of clients that are created from now on. */
  static config: MemcachedOptions = { ...DEFAULT_CONFIG }

  /** The underlying client, with features that npm memcached does not have. */
  readonly client: MemcachedClient
  readonly #options: MemcachedOptions

  /**
   * @param servers a server, an array of servers, or an object of servers and their weights. Default `localhost:11211`.
   * @throws MemcacheOptionError if an option is unknown or invalid.
   */
  constructor(
    servers: string | readonly string[] | Readonly<Record<string, number>> = [],
    options: MemcachedOptions = {},
  ) {
    super()
    this.#options = resolveMemcachedOptions(Memcached.config, options)
    const { poolSize, timeout, idle, remove, maxQueueSize = -1 } = this.#options
    this.client = new MemcachedClient({
      servers: serverList(servers),
      values: VALUES,
      poolSize,
      timeoutMs: timeout,
      idleTimeoutMs: idle,
      maxQueue: maxQueueSize > 0 ? maxQueueSize : undefined,
      failover: remove === true ? 'next' : 'none',
      longKeys: this.#options.keyCompression === false ? 'refuse' : 'hash',
    })
    reportIssues(this.client, { removes: remove === true }, (event, details) => this.emit(event, details))
  }

  /** The servers, as `host:port`. */
  get servers(): string[] {
    return this.client.servers
  }

  // Retrieval

  /** Returns the value of a key, or the values of several keys as an object; a miss is `undefined`. */
  get<Value = unknown>(key: Name, callback: MemcachedCallback<Value | undefined>): void
  get<Value = unknown>(key: Name): Promise<Value | undefined>
  get<Value = unknown>(keys: readonly Name[], callback: MemcachedMultiCallback<Record<string, Value>>): void
  get<Value = unknown>(keys: readonly Name[]): Promise<Record<string, Value>>
  get(key: Name | readonly Name[], callback?: unknown): unknown {
    if (isArray(key)) return this.#getMulti(key, callback)
    return runCall('get', { key, callback }, () => this.client.get(this.#key(key)))
  }

  /** Returns the values of several keys as an object; a callback also receives the errors of all failed servers. */
  getMulti<Value = unknown>(keys: readonly Name[], callback: MemcachedMultiCallback<Record<string, Value>>): void
  getMulti<Value = unknown>(keys: readonly Name[]): Promise<Record<string, Value>>
  getMulti(keys: readonly Name[], callback?: unknown): unknown {
    return this.#getMulti(keys, callback)
  }

  /** Returns an object with the value under its key, and its `cas`; a miss is `undefined`. */
  gets(key: Name, callback: MemcachedCallback<Record<string, unknown> | undefined>): void
  gets(key: Name): Promise<Record<string, unknown> | undefined>
  gets(key: Name, callback?: unknown): unknown {
    return runCall('gets', { key, callback }, async () => {
      const item = await this.client.gets(this.#key(key))
      return item && { [key]: item.value, cas: String(item.casUnique) }
    })
  }

  // Storage

  set(key: Name, value: unknown, lifetime: number, callback: MemcachedCallback<boolean>): void
  set(key: Name, value: unknown, lifetime: number): Promise<boolean>
  set(key: Name, value: unknown, callback: MemcachedCallback<boolean>): void
  set(key: Name, value: unknown, lifetime: unknown, callback?: unknown): unknown {
    return this.#store('set', { key, value, lifetime, callback })
  }

  /** Stores a value; fails with an error with `notStored` if the key has a value. */
  add(key: Name, value: unknown, lifetime: number, callback: MemcachedCallback<boolean>): void
  add(key: Name, value: unknown, lifetime: number): Promise<boolean>
  add(key: Name, value: unknown, lifetime: unknown, callback?: unknown): unknown {
    return this.#store('add', { key, value, lifetime, callback })
  }

  /** Stores a value; fails with an error with `notStored` if the key has no value. */
  replace(key: Name, value: unknown, lifetime: number, callback: MemcachedCallback<boolean>): void
  replace(key: Name, value: unknown, lifetime: number): Promise<boolean>
  replace(key: Name, value: unknown, lifetime: unknown, callback?: unknown): unknown {
    return this.#store('replace', { key, value, lifetime, callback })
  }

  /** Stores a value; returns false if the value has changed since `gets`, or is missing. */
  cas(key: Name, value: unknown, cas: string, lifetime: number, callback: MemcachedCallback<boolean>): void
  cas(key: Name, value: unknown, cas: string, lifetime: number): Promise<boolean>
  cas(key: Name, value: unknown, cas: string, lifetime: unknown, callback?: unknown): unknown {
    return runCall('cas', { key, value, cas, lifetime, callback }, async () => {
      const encoded = this.#encoded(value)
      const compareCas = casUnique(cas)
      if (!expiresAtOnce(lifetime as number)) {
        return (await this.client.cas(this.#key(key), encoded, compareCas, toTtl(lifetime as number))) === 'stored'
      }
      return this.client.meta.delete(this.#key(key), { compareCas }).then((status) => status === 'deleted')
    })
  }

  append(key: Name, value: string | Buffer, callback: MemcachedCallback<boolean>): void
  append(key: Name, value: string | Buffer): Promise<boolean>
  append(key: Name, value: string | Buffer, callback?: unknown): unknown {
    return runCall('append', { key, value, callback }, async () =>
      mustBeStored(await this.client.append(this.#key(key), this.#fragment(value))),
    )
  }

  prepend(key: Name, value: string | Buffer, callback: MemcachedCallback<boolean>): void
  prepend(key: Name, value: string | Buffer): Promise<boolean>
  prepend(key: Name, value: string | Buffer, callback?: unknown): unknown {
    return runCall('prepend', { key, value, callback }, async () =>
      mustBeStored(await this.client.prepend(this.#key(key), this.#fragment(value))),
    )
  }

  /** Sets the lifetime of a key; the result is `false` on a miss. */
  touch(key: Name, lifetime: number, callback: MemcachedCallback<boolean>): void
  touch(key: Name, lifetime: number): Promise<boolean>
  touch(key: Name, lifetime: unknown, callback?: unknown): unknown {
    return runCall('touch', { key, lifetime, callback }, () => {
      const name = this.#key(key)
      if (expiresAtOnce(lifetime as number)) return this.client.delete(name)
      return this.client.touch(name, toTtl(lifetime as number))
    })
  }

  /** Deletes a key; the result is `false` on a miss. */
  del(key: Name, callback: MemcachedCallback<boolean>): void
  del(key: Name): Promise<boolean>
  del(key: Name, callback?: unknown): unknown {
    return runCall('delete', { key, callback }, () => this.client.delete(this.#key(key)))
  }

  delete(key: Name, callback: MemcachedCallback<boolean>): void
  delete(key: Name): Promise<boolean>
  delete(key: Name, callback?: unknown): unknown {
    return this.del(key, callback as MemcachedCallback<boolean>)
  }

  // Counters

  /** Increments a counter; the result is `false` on a miss. */
  incr(key: Name, amount: number, callback: MemcachedCallback<number | false>): void
  incr(key: Name, amount: number): Promise<number | false>
  incr(key: Name, value: unknown, callback?: unknown): unknown {
    return runCall('incr', { key, value, callback }, async () => {
      return (await this.client.incr(this.#key(key), value as number)) ?? false
    })
  }

  /** Decrements a counter; the result is `false` on a miss. */
  decr(key: Name, amount: number, callback: MemcachedCallback<number | false>): void
  decr(key: Name, amount: number): Promise<number | false>
  decr(key: Name, value: unknown, callback?: unknown): unknown {
    return runCall('decr', { key, value, callback }, async () => {
      return (await this.client.decr(this.#key(key), value as number)) ?? false
    })
  }

  increment(key: Name, amount: number, callback: MemcachedCallback<number | false>): void
  increment(key: Name, amount: number): Promise<number | false>
  increment(key: Name, amount: number, callback?: unknown): unknown {
    return this.incr(key, amount, callback as MemcachedCallback<number | false>)
  }

  decrement(key: Name, amount: number, callback: MemcachedCallback<number | false>): void
  decrement(key: Name, amount: number): Promise<number | false>
  decrement(key: Name, amount: number, callback?: unknown): unknown {
    return this.decr(key, amount, callback as MemcachedCallback<number | false>)
  }

  // Servers

  /** Empties all servers; returns one `true` for each. */
  flush(callback: MemcachedCallback<true[]>): void
  flush(): Promise<true[]>
  flush(callback?: unknown): unknown {
    return this.#onEach('flush_all', callback, async (server) => {
      await this.client.flushAll(0, { server })
      return true
    })
  }

  flushAll(callback: MemcachedCallback<true[]>): void
  flushAll(): Promise<true[]>
  flushAll(callback?: unknown): unknown {
    return this.flush(callback as MemcachedCallback<true[]>)
  }

  /** Returns each server's version, with its name as `server`. */
  version(callback: MemcachedCallback<Record<string, string>[]>): void
  version(): Promise<Record<string, string>[]>
  version(callback?: unknown): unknown {
    return this.#onEach('version', callback, async (server) => {
      const version = (await this.client.version({ server })).get(server) ?? ''
      const [, major = '0', minor = '0', bugfix = '0'] = /(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []
      return { server, version, major, minor, bugfix }
    })
  }

  /** Returns each server's statistics, with its name as `server`. */
  stats(callback: MemcachedCallback<Statistics[]>): void
  stats(): Promise<Statistics[]>
  stats(callback?: unknown): unknown {
    return this.#onEach('stats', callback, async (server) => ({ server, ...(await this.#stats(server)) }))
  }

  settings(callback: MemcachedCallback<Statistics[]>): void
  settings(): Promise<Statistics[]>
  settings(callback?: unknown): unknown {
    const read = async (server: string) => ({ server, ...(await this.#stats(server, 'settings')) })
    return this.#onEach('stats settings', callback, read)
  }

  /** Returns each server's slab classes by number, each an object, and the statistics of all classes beside them. */
  slabs(callback: MemcachedCallback<Statistics[]>): void
  slabs(): Promise<Statistics[]>
  slabs(callback?: unknown): unknown {
    const read = async (server: string) => grouped(server, await this.#stats(server, 'slabs'))
    return this.#onEach('stats slabs', callback, read)
  }

  /** Returns each server's slab classes with items by number, each an object. */
  items(callback: MemcachedCallback<Statistics[]>): void
  items(): Promise<Statistics[]>
  items(callback?: unknown): unknown {
    const read = async (server: string) => grouped(server, await this.#stats(server, 'items'))
    return this.#onEach('stats items', callback, read)
  }

  statsSettings(callback?: unknown): unknown {
    return this.settings(callback as MemcachedCallback<Statistics[]>)
  }

  statsSlabs(callback?: unknown): unknown {
    return this.slabs(callback as MemcachedCallback<Statistics[]>)
  }

  statsItems(callback?: unknown): unknown {
    return this.items(callback as MemcachedCallback<Statistics[]>)
  }

  /** Returns the items of a slab class: an array, a single item, or `undefined` if there is none. */
  cachedump(server: string, slabid: number, number: number, callback: MemcachedCallback<unknown>): void
  cachedump(server: string, slabid: number, number: number): Promise<unknown>
  cachedump(server: string, slabid: unknown, number: unknown, callback?: unknown): unknown {
    return runCall('stats cachedump', { slabid, number, callback }, async () => {
      const found = await this.#stats(server, `cachedump ${Number(slabid)} ${Number(number)}`)
      const items = Object.entries(found).map(([key, facts]) => {
        const [, b = 0, s = 0] = /^\[(\d+) b; (\d+) s\]$/.exec(String(facts)) ?? []
        return { key, b: Number(b), s: Number(s) }
      })
      return items.length > 1 ? items : items[0]
    })
  }

  /** Calls back for each server of the keys, with the server's keys; without keys, for all servers. */
  multi(
    keys: readonly string[] | false | null | undefined,
    callback: (this: this, server: string, keys: string[] | undefined, index: number, total: number) => void,
  ): void {
    if (keys && !isArray(keys)) throw invalidArgument('keys', 'Array')
    const { servers } = this
    const found = new Map<string, string[]>()
    for (const key of keys || []) {
      const server = this.client.serverOf(key) ?? servers[0]!
      const those = found.get(server)
      if (those === undefined) found.set(server, [key])
      else those.push(key)
    }
    const names = keys ? [...found.keys()] : servers
    for (const [index, server] of names.entries()) callback.call(this, server, found.get(server), index, names.length)
  }

  /** Lets pending operations finish, then closes the connections. */
  end(): void {
    void this.client.close()
  }

  #getMulti(keys: readonly Name[], callback: unknown): unknown {
    return runMultiCall({ key: keys, callback }, async (isCalledBack) => {
      if (!Array.isArray(keys)) throw invalidArgument('keys', 'Array')
      const names = keys.map((key) => this.#key(key))
      const hits = await this.client.getMulti<unknown, string>([...new Set(names)])
      const found = keys.flatMap((key, index) => (hits.has(names[index]!) ? [[key, hits.get(names[index]!)]] : []))
      const values: Record<string, unknown> = Object.fromEntries(found)
      if (hits.errors.size > 0 && isCalledBack) throw new PartialResult([...hits.errors.values()], values)
      return values
    })
  }

  #store(
    mode: 'set' | 'add' | 'replace',
    args: CallArguments & { key: Name; value: unknown; lifetime: unknown },
  ): unknown {
    return runCall(mode, args, async () => {
      const { key, value } = args
      const lifetime = args.lifetime as number
      const encoded = this.#encoded(value)
      const name = this.#key(key)
      if (expiresAtOnce(lifetime)) return mustBeStored(await this.#storeExpired(mode, name))
      const ttl = toTtl(lifetime)
      if (mode !== 'set') return mustBeStored(await this.client[mode](name, encoded, ttl))
      await this.client.set(name, encoded, ttl)
      return true
    })
  }

  /**
   * Performs a store with a lifetime that has already ended, which leaves no value. Returns whether it would have been
   * stored.
   */
  async #storeExpired(mode: 'set' | 'add' | 'replace', name: string): Promise<boolean> {
    if (mode === 'add') return (await this.client.gets(name)) === undefined
    const wasThere = await this.client.delete(name)
    return mode === 'set' || wasThere
  }

  #stats(server: string, form?: string): Promise<Statistics> {
    const name = this.servers.find((known) => known === server || known.startsWith(`${server}:`)) ?? server
    return this.client.stats(form as string, { server: name }).then((found) => found.get(name)!)
  }

  #onEach<Result>(type: string, callback: unknown, request: (server: string) => Promise<Result>): unknown {
    return runCall(type, { callback }, async (isCalledBack) => {
      const settled = await Promise.allSettled(this.servers.map(request))
      const results = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
      const errors = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []))
      if (errors.length === 0) return results
      throw isCalledBack ? new PartialResult(errors.at(-1)!, results) : errors.at(-1)!
    })
  }

  #key(key: unknown): string {
    const { namespace = '', maxKeySize = 250, keyCompression } = this.#options
    const name = namespace + String(key)
    if (/\s/.test(name))
      throw new MemcacheKeyError('The key should not contain any whitespace or new lines', { key: name })
    if (name.length <= maxKeySize) return name
    if (keyCompression !== false) return hashedKey(name)
    throw new MemcacheKeyError(`Argument "key" is longer than the maximum allowed length of ${maxKeySize}`, {
      key: name,
    })
  }

  /** Returns a value as it is stored; `maxValue` limits its length. */
  #encoded(value: unknown): Encoded {
    const { maxValue = Infinity } = this.#options
    const { bytes, clientFlags } = CODEC.encode(value)
    const size = Buffer.byteLength(bytes)
    if (size > maxValue) {
      throw new MemcacheTooLargeError(`The length of the value is greater than ${maxValue}`)
    }
    return new Encoded(bytes, clientFlags)
  }

  /** Returns the bytes for `append` and `prepend`, in the format of stored values. */
  #fragment(value: unknown): Buffer {
    const bytes = Buffer.from(this.#encoded(value).bytes as string)
    FRAGMENTS.add(bytes)
    return bytes
  }
}

/** Buffers that are fragments in the format of stored values. */
const FRAGMENTS = new WeakSet<Buffer>()
const KNOWN_FLAGS = [0, 2, 4, 8]

/** The codec of npm memcached's values: JSON is written by `JSON.stringify`. */
const CODEC = guardedCodec(npmMemcachedCodec(looseJson))

/** The same codec for values that were encoded before; values with other clients' flags are read as text. */
const VALUES: ValueCodec = {
  encode: (value) => {
    if (value instanceof Encoded) return value
    return FRAGMENTS.has(value as Buffer) ? { bytes: value as Buffer, clientFlags: 0 } : CODEC.encode(value)
  },
  decode: (bytes, clientFlags) => CODEC.decode(bytes, KNOWN_FLAGS.includes(clientFlags) ? clientFlags : 0),
}

/** Returns whether a value is an array. Never throws: a proxy that was revoked throws when it is asked. */
function isArray(value: unknown): value is readonly Name[] {
  try {
    return Array.isArray(value)
  } catch {
    return false
  }
}

function looseJson(value: unknown): string {
  const text = JSON.stringify(value ?? null) as string | undefined
  if (text === undefined) throw cannotWrite(value, 'memcached', 'store data')
  return text
}

function casUnique(cas: unknown): bigint {
  if (!/^\d+$/.test(String(cas))) throw invalidArgument('cas', 'String')
  return BigInt(String(cas))
}

function mustBeStored(stored: boolean): true {
  if (!stored) throw Object.assign(new Error('Item is not stored'), { notStored: true })
  return true
}

/** Groups statistics such as `3:chunk_size` or `items:3:number` by their slab class. */
function grouped(server: string, found: Statistics): Statistics {
  const groups: Record<string, unknown> = { server }
  for (const [name, value] of Object.entries(found)) {
    const [, id, fact] = /^(?:items:)?(\d+):(.*)$/.exec(name) ?? []
    if (id === undefined) groups[name] = value
    else Object.assign((groups[id] ??= {}), { [fact!]: value })
  }
  return groups
}

function serverList(
  servers: string | readonly string[] | Readonly<Record<string, number>>,
): string | readonly string[] | undefined {
  if (typeof servers === 'string') return servers === '' ? LOCAL : servers
  if (!Array.isArray(servers)) return Object.entries(servers).map(([server, weight]) => `${server}:${weight}`)
  return servers.length === 0 ? LOCAL : (servers as readonly string[])
}

const LOCAL = 'localhost:11211'
