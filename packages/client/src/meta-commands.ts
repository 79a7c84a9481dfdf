import type { ItemResponse } from './operations/item-response.ts'
import {
  booleanOption,
  choiceOption,
  kindOf,
  MAX_RELATIVE_EXPTIME_SECONDS,
  MemcacheOptionError,
} from 'memcache-ts-protocol'
import type { Uint64 } from 'memcache-ts-protocol'
import type {
  CallOptions,
  ClientKey,
  MetaArithmeticOptions,
  MetaCounter,
  MetaDeleteOptions,
  MetaGetOptions,
  MetaItem,
  MetaSetOptions,
  MetaSetResult,
} from './call-options.ts'
import { toUint64, uint64Option } from './argument-checks.ts'
import type { Commands } from './commands.ts'
import type { ServerCommands } from './server-commands.ts'
import type { StoreMode, StoreStatus } from './operations/write-operations.ts'
import type { Tracing } from './tracing.ts'

/** The minimum of a lease: a shorter one may end immediately, since memcached counts whole seconds. */
const MIN_SECONDS = 1

const STORE_MODES = ['set', 'add', 'replace', 'append', 'prepend'] as const satisfies readonly StoreMode[]
const COUNTER_MODES = ['incr', 'decr'] as const

/** Widens a literal type: the counter of a delta of `1n` is any bigint. */
export type Widened<Amount extends number | bigint> = Amount extends bigint ? bigint : number

/**
 * The meta commands (protocol.txt, "Meta Commands"), with names for their one-letter flags: leases, stale values and
 * compare-and-swap without a second round trip. The client itself sets the flags b, f, k, q and O, for binary keys,
 * codecs and matching responses. All methods reject with a `MemcacheUnsupportedError` on a server without meta
 * commands.
 *
 * @example
 *   const item = await client.meta.get('city:42', { vivifySeconds: 5 })
 *   if (item?.won === true) await client.meta.set('city:42', await loadCity(42))
 */
export class MetaCommands {
  readonly #commands: Commands
  readonly #servers: ServerCommands
  readonly #tracing: Tracing

  constructor(commands: Commands, servers: ServerCommands, tracing: Tracing) {
    this.#commands = commands
    this.#servers = servers
    this.#tracing = tracing
  }

  /** mg: returns an item with its metadata; `undefined` is a miss. */
  get<Value = unknown>(key: ClientKey, options?: MetaGetOptions): Promise<MetaItem<Value> | undefined> {
    return this.#tracing.run(
      { operation: 'meta.get', key, options },
      (options): Promise<MetaItem<Value> | undefined> => {
        const compareCas = uint64Option('compareCas', options?.compareCas)
        const { value = true, access = false, noBump = false } = options ?? {}
        const item = access ? itemWithAccess<Value> : itemOf<Value>
        const parameters = {
          value: booleanOption('value', value),
          casUnique: true,
          details: true,
          access: booleanOption('access', access),
          noBump: booleanOption('noBump', noBump),
          touchExptime: options?.touchTtl === undefined ? undefined : this.#commands.exptime(options.touchTtl),
          vivifySeconds: seconds('vivifySeconds', options?.vivifySeconds),
          recacheSeconds: seconds('recacheSeconds', options?.recacheSeconds),
          newCas: uint64Option('newCas', options?.newCas),
          compareCas,
          build: compareCas === undefined ? item : unlessUnchanged(item, compareCas),
        }
        const { touchExptime } = parameters
        if (touchExptime === undefined || value) return this.#commands.retrieve(key, parameters, options)
        return this.#commands.retrieveAndTouch(key, { ...parameters, touchExptime }, options)
      },
    )
  }

  /** ms: stores a value. */
  set(key: ClientKey, value: unknown, options?: MetaSetOptions): Promise<MetaSetResult> {
    return this.#tracing.run({ operation: 'meta.set', key, options }, (options) => {
      const mode = choiceOption('mode', options?.mode ?? 'set', STORE_MODES)
      const { invalidate = false } = options ?? {}
      const conditions = {
        returnCas: true,
        compareCas: uint64Option('compareCas', options?.compareCas),
        newCas: uint64Option('newCas', options?.newCas),
        invalidate: booleanOption('invalidate', invalidate),
        vivifyExptime: options?.vivifyTtl === undefined ? undefined : this.#commands.exptime(options.vivifyTtl),
      }
      return this.#commands.store(key, value, { mode, ttl: options?.ttl, conditions, options, build: setResult })
    })
  }

  /** md: deletes an item, marks it stale, or empties it. */
  delete(key: ClientKey, options?: MetaDeleteOptions): Promise<'deleted' | 'exists' | 'notFound'> {
    return this.#tracing.run({ operation: 'meta.delete', key, options }, (options) => {
      const { invalidate = false, removeValue = false } = options ?? {}
      const request = {
        compareCas: uint64Option('compareCas', options?.compareCas),
        newCas: uint64Option('newCas', options?.newCas),
        invalidate: booleanOption('invalidate', invalidate),
        removeValue: booleanOption('removeValue', removeValue),
        exptime: options?.ttl === undefined ? undefined : this.#commands.exptime(options.ttl),
      }
      return this.#commands.delete(key, request, options)
    })
  }

  /**
   * ma: adds to a counter, or subtracts from it; returns `undefined` on a miss without `vivifyTtl`, or if `compareCas`
   * does not match. With bigints, the value is a bigint, exact over 2^53.
   */
  arithmetic<Amount extends number | bigint = number>(
    key: ClientKey,
    options?: MetaArithmeticOptions<Amount>,
  ): Promise<MetaCounter<Widened<Amount>> | undefined> {
    return this.#tracing.run({ operation: 'meta.arithmetic', key, options }, async (options) => {
      const exact = typeof options?.delta === 'bigint' || typeof options?.initial === 'bigint'
      const request = {
        mode: choiceOption('mode', options?.mode ?? 'incr', COUNTER_MODES),
        delta: toUint64('delta', options?.delta ?? 1),
        details: true,
        initial: uint64Option('initial', options?.initial),
        vivifyExptime: options?.vivifyTtl === undefined ? undefined : this.#commands.exptime(options.vivifyTtl),
        exptime: options?.ttl === undefined ? undefined : this.#commands.exptime(options.ttl),
        compareCas: uint64Option('compareCas', options?.compareCas),
        newCas: uint64Option('newCas', options?.newCas),
      }
      const { digits, casUnique, ttlSeconds } = await this.#commands.count(key, request, options)
      if (digits === undefined) return undefined
      return { value: (exact ? BigInt(digits) : Number(digits)) as Widened<Amount>, casUnique, ttlSeconds }
    })
  }

  /**
   * me: returns the server's metadata of an item, by the server's names (`exp`, `la`, `cas`, `fetch`, `cls`, `size`);
   * `undefined` is a miss. It is for debugging; programs should not depend on it.
   */
  debug(key: ClientKey, options?: CallOptions): Promise<Record<string, string> | undefined> {
    return this.#tracing.run({ operation: 'meta.debug', key, options }, async (options) => {
      const [line = ''] = await this.#commands.lines(
        key,
        (wireKey) => ({
          text: typeof wireKey === 'string' ? `me ${wireKey}\r\n` : `me ${wireKey.toString('base64')} b\r\n`,
          line: /^(?:ME|EN)\b/,
          meta: true,
        }),
        options,
      )
      if (!line.startsWith('ME ')) return undefined
      return Object.fromEntries([...line.matchAll(/ ([a-z]+)=(\S+)/g)].map(([, name, value]) => [name!, value!]))
    })
  }

  /** mn: resolves when every server has responded. */
  noop(options?: CallOptions): Promise<void> {
    return this.#tracing.run({ operation: 'meta.noop', options }, async (options) => {
      await this.#servers.onAll({ text: 'mn\r\n', line: /^MN\b/, meta: true }, options)
    })
  }
}

function setResult(status: StoreStatus, casUnique: Uint64): MetaSetResult {
  return { status, casUnique: casUnique.toBigInt() }
}

type ItemBuilder<Value> = (response: ItemResponse, value: unknown) => MetaItem<Value> | undefined

function itemOf<Value>(response: ItemResponse, value: unknown): MetaItem<Value> | undefined {
  if (!response.isFound) return undefined
  return {
    value: value as Value | undefined,
    unchanged: false,
    size: response.size,
    casUnique: response.casUnique.toBigInt(),
    clientFlags: response.clientFlags,
    ttlSeconds: response.ttlSeconds === -1 ? Infinity : response.ttlSeconds,
    won: response.won,
    stale: response.stale,
    lost: response.lost,
    hitBefore: undefined,
    lastAccessSeconds: undefined,
  }
}

function itemWithAccess<Value>(response: ItemResponse, value: unknown): MetaItem<Value> | undefined {
  const item = itemOf<Value>(response, value)
  return item && { ...item, hitBefore: response.hitBefore, lastAccessSeconds: response.lastAccessSeconds }
}

/**
 * Returns a builder that omits the value if the item has this cas unique: servers older than 1.6.40 send the value
 * anyway.
 */
function unlessUnchanged<Value>(build: ItemBuilder<Value>, compareCas: Uint64): ItemBuilder<Value> {
  return (response, value) => {
    const unchanged = response.casUnique.equals(compareCas)
    const item = build(response, unchanged ? undefined : value)
    return item && { ...item, unchanged }
  }
}

/** @throws MemcacheOptionError if the value is not a valid number of seconds. */
function seconds(name: string, value: number | undefined): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'number') {
    throw new MemcacheOptionError(`${name} must be a number of seconds, got ${kindOf(value)}`)
  }
  if (!(value >= MIN_SECONDS && value <= MAX_RELATIVE_EXPTIME_SECONDS)) {
    throw new MemcacheOptionError(
      `${name} must be at least ${MIN_SECONDS} and at most ${MAX_RELATIVE_EXPTIME_SECONDS} seconds (30 days), got ${value}`,
    )
  }
  return Math.ceil(value)
}
