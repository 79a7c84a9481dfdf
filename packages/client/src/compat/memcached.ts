import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { MemcachedClient } from '../memcached-client.ts'
import { callBack } from './call-back.ts'
import { toTtl } from './lifetime.ts'

/** Options by npm memcached's names; times are in milliseconds. */
export interface MemcachedOptions {
  /** Connections a server. Default 2. */
  poolSize?: number | undefined
  /** How long an operation may take. Default 5000. */
  timeout?: number | undefined
  /** A connection on which nothing was asked for this long is closed. Default 5000. */
  idle?: number | undefined
  /** Put before every key, as it is. */
  namespace?: string | undefined
  /** The longest key. Default 250. Longer ones are hashed, unless `keyCompression` is false. */
  maxKeySize?: number | undefined
  keyCompression?: boolean | undefined
  /** Values over this many bytes are refused. Default 1048576. */
  maxValue?: number | undefined
  /** Whether keys go to the next server while theirs is away: `remove`, here without servers to fall back to. */
  remove?: boolean | undefined
  /** Read and left at that: reconnects are always tried, with growing pauses, and operations are not repeated. */
  reconnect?: number | undefined
  retries?: number | undefined
  retry?: number | undefined
  failures?: number | undefined
  maxExpiration?: number | undefined
}

const KNOWN = [
  'poolSize',
  'timeout',
  'idle',
  'namespace',
  'maxKeySize',
  'keyCompression',
  'maxValue',
  'remove',
  'reconnect',
  'retries',
  'retry',
  'failures',
  'maxExpiration',
] as const satisfies readonly (keyof MemcachedOptions)[]

const MAX_VALUE_BYTES = 1_048_576

/** A callback of npm memcached: the error is `undefined` where there is none. */
type Answer<Result> = (error: Error | undefined, result: Result) => void

/**
 * npm memcached's client over a `MemcachedClient`: the same methods, callbacks and values. Every method also gives a promise
 * when it is called without a callback. Otherwise than memcached: what it hangs on rejects; keys are told apart by ketama, so
 * a cache that was filled by it on more than one server starts cold; long keys are hashed by SHA-256, not MD5.
 */
export class Memcached {
  /** What it stands on, for what memcached has not. */
  readonly client: MemcachedClient
  readonly #namespace: string
  readonly #maxValue: number

  /**
   * @param servers one, an array of them, or an object of servers and their weights.
   * @throws MemcacheOptionError for an option that there is not.
   */
  constructor(servers: string | readonly string[] | Readonly<Record<string, number>>, options: MemcachedOptions = {}) {
    checkOptions('Memcached', options, KNOWN, { failOverServers: 'a list of all servers, with `remove`' })
    this.#namespace = options.namespace ?? ''
    this.#maxValue = options.maxValue ?? MAX_VALUE_BYTES
    this.client = new MemcachedClient({
      servers: serverList(servers),
      values: 'memcached',
      poolSize: options.poolSize,
      timeoutMs: options.timeout ?? 5000,
      idleTimeoutMs: options.idle ?? 5000,
      failover: options.remove === true ? 'next' : 'none',
      longKeys: options.keyCompression === false ? 'refuse' : 'hash',
    })
  }

  /** The value of a key, or of several as an object; a miss is `undefined`. */
  get<Value = unknown>(key: string | readonly string[], callback?: Answer<Value>): Promise<Value> | void {
    if (typeof key !== 'string')
      return this.getMulti(key, callback as Answer<Record<string, unknown>>) as Promise<Value>
    return answer(this.client.get<Value>(this.#key(key)) as Promise<Value>, callback)
  }

  getMulti<Value = unknown>(
    keys: readonly string[],
    callback?: Answer<Record<string, Value>>,
  ): Promise<Record<string, Value>> | void {
    const found = this.client.getMulti<Value, string>(keys.map((key) => this.#key(key)))
    const { length } = this.#namespace
    return answer(
      found.then((hits) => Object.fromEntries([...hits].map(([key, value]) => [key.slice(length), value]))),
      callback,
    )
  }

  /** The value under its key, with its `cas`; a miss is `undefined`. */
  gets(key: string, callback?: Answer<Record<string, unknown>>): Promise<Record<string, unknown>> | void {
    const found = this.client.gets(this.#key(key))
    return answer(
      found.then((item) => item && { [key]: item.value, cas: String(item.casUnique) }) as Promise<
        Record<string, unknown>
      >,
      callback,
    )
  }

  set(key: string, value: unknown, lifetime: number, callback?: Answer<boolean>): Promise<boolean> | void {
    return answer(this.#store('set', key, value, lifetime), callback)
  }

  /** An error when the key has a value. */
  add(key: string, value: unknown, lifetime: number, callback?: Answer<boolean>): Promise<boolean> | void {
    return answer(this.#store('add', key, value, lifetime), callback)
  }

  /** An error when the key has no value. */
  replace(key: string, value: unknown, lifetime: number, callback?: Answer<boolean>): Promise<boolean> | void {
    return answer(this.#store('replace', key, value, lifetime), callback)
  }

  append(key: string, value: string | Buffer, callback?: Answer<boolean>): Promise<boolean> | void {
    return answer(this.client.append(this.#key(key), value).then(mustBeStored), callback)
  }

  prepend(key: string, value: string | Buffer, callback?: Answer<boolean>): Promise<boolean> | void {
    return answer(this.client.prepend(this.#key(key), value).then(mustBeStored), callback)
  }

  /** False when the value has changed since `gets`. */
  cas(key: string, value: unknown, cas: string, lifetime: number, callback?: Answer<boolean>): Promise<boolean> | void {
    const swapped = this.client.cas(this.#key(key), value, BigInt(cas), toTtl(lifetime))
    return answer(
      swapped.then((outcome) => outcome === 'stored'),
      callback,
    )
  }

  /** False for a miss. */
  incr(key: string, amount: number, callback?: Answer<number | false>): Promise<number | false> | void {
    return answer(this.client.incr(this.#key(key), amount).then(orFalse), callback)
  }

  /** False for a miss. */
  decr(key: string, amount: number, callback?: Answer<number | false>): Promise<number | false> | void {
    return answer(this.client.decr(this.#key(key), amount).then(orFalse), callback)
  }

  /** False for a miss. */
  touch(key: string, lifetime: number, callback?: Answer<boolean>): Promise<boolean> | void {
    return answer(this.client.touch(this.#key(key), toTtl(lifetime)), callback)
  }

  /** False for a miss. */
  del(key: string, callback?: Answer<boolean>): Promise<boolean> | void {
    return answer(this.client.delete(this.#key(key)), callback)
  }

  delete(key: string, callback?: Answer<boolean>): Promise<boolean> | void {
    return this.del(key, callback)
  }

  /** One `true` for each server. */
  flush(callback?: Answer<boolean[]>): Promise<boolean[]> | void {
    const { servers } = this.client
    return answer(
      this.client.flushAll().then(() => servers.map(() => true)),
      callback,
    )
  }

  flushAll(callback?: Answer<boolean[]>): Promise<boolean[]> | void {
    return this.flush(callback)
  }

  /** One object for each server, with its name as `server`. */
  stats(callback?: Answer<Record<string, unknown>[]>): Promise<Record<string, unknown>[]> | void {
    const found = this.client.stats()
    return answer(
      found.then((all) => [...all].map(([server, stats]) => Object.assign({ server }, stats))),
      callback,
    )
  }

  version(callback?: Answer<Record<string, string>[]>): Promise<Record<string, string>[]> | void {
    const found = this.client.version()
    return answer(
      found.then((all) => [...all].map(([server, version]) => ({ server, version }))),
      callback,
    )
  }

  /** Lets what was asked be answered, then closes. */
  end(): void {
    void this.client.close()
  }

  #key(key: string): string {
    return this.#namespace + key
  }

  async #store(mode: 'set' | 'add' | 'replace', key: string, value: unknown, lifetime: number): Promise<boolean> {
    const size = typeof value === 'string' ? Buffer.byteLength(value) : Buffer.isBuffer(value) ? value.length : 0
    if (size > this.#maxValue) {
      throw new MemcacheOptionError(`the value has ${size} bytes, more than maxValue: ${this.#maxValue}`)
    }
    const ttl: Ttl = toTtl(lifetime)
    if (mode === 'set') await this.client.set(this.#key(key), value, ttl)
    else mustBeStored(await this.client[mode](this.#key(key), value, ttl))
    return true
  }
}

function answer<Result>(promise: Promise<Result>, callback: Answer<Result> | undefined): Promise<Result> | void {
  return callBack<Result, [Result]>(
    promise,
    callback && ((error, result) => callback(error ?? undefined, result)),
    (result) => [result],
  )
}

function mustBeStored(stored: boolean): true {
  if (!stored) throw new Error('Item is not stored')
  return true
}

function orFalse(count: number | undefined): number | false {
  return count ?? false
}

function serverList(
  servers: string | readonly string[] | Readonly<Record<string, number>>,
): string | readonly string[] {
  if (typeof servers === 'string' || Array.isArray(servers)) return servers as string | readonly string[]
  return Object.entries(servers).map(([server, weight]) => `${server}:${weight}`)
}
