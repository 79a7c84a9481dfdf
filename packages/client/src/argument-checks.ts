import { checkOptions, isMemcacheError, kindOf, MemcacheOptionError, Uint64 } from 'memcache-ts-protocol'
import type {
  CallOptions,
  CounterOptions,
  MetaArithmeticOptions,
  MetaDeleteOptions,
  MetaGetOptions,
  MetaSetOptions,
  WriteOptions,
} from './call-options.ts'
import { messageOf, readValueOf } from './errors.ts'

const MAX_UINT64 = 2n ** 64n - 1n

/**
 * Returns a number as 64 bits.
 *
 * @throws MemcacheOptionError if it is not a whole number of 64 bits.
 */
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

/** Returns an optional number as 64 bits; see `toUint64`. */
export function uint64Option(name: string, value: number | bigint | undefined): Uint64 | undefined {
  return value === undefined ? undefined : toUint64(name, value)
}

/**
 * Returns keys and their values as pairs.
 *
 * @throws MemcacheOptionError if `items` is not an iterable of pairs.
 */
export function pairsOf<Given>(items: Iterable<readonly [Given, unknown]>): (readonly [Given, unknown])[] {
  const pairs = readValueOf('the items', () => {
    if (typeof (items as Partial<typeof items> | null | undefined)?.[Symbol.iterator] !== 'function') return undefined
    const all = [...items]
    return all.every((pair) => Array.isArray(pair))
      ? all.map(([key, value]): readonly [Given, unknown] => [key, value])
      : undefined
  })
  if (pairs !== undefined) return pairs
  throw new MemcacheOptionError(`items must be a Map or pairs of keys and values, got ${kindOf(items)}`)
}

/**
 * Returns a copy of the keys of a batch.
 *
 * @throws MemcacheOptionError if they are not an array.
 */
export function keysOf<Given>(keys: readonly Given[]): readonly Given[] {
  const copy = readValueOf('the keys', () => (Array.isArray(keys) ? Array.from<Given>(keys) : undefined))
  if (copy !== undefined) return copy
  throw new MemcacheOptionError(`the keys must be an array, got ${kindOf(keys)}`)
}

/**
 * Returns a whole number of at most 31 bits, as memcached accepts it.
 *
 * @throws MemcacheOptionError for other values.
 */
export function wholeNumber(name: string, value: unknown): number {
  if (typeof value !== 'number') throw new MemcacheOptionError(`${name} must be a whole number, got ${kindOf(value)}`)
  if (Number.isInteger(value) && value >= 0 && value < 2 ** 31) return value
  throw new MemcacheOptionError(`${name} must be a whole number from 0 to 2^31 - 1, got ${value}`)
}

/** The names of a method's options, except the options of every call: the compiler reports a missing name. */
type OwnNames<Options> = Record<Exclude<keyof Options, keyof CallOptions>, true>

const CALL: Record<keyof CallOptions, true> = {
  timeoutMs: true,
  signal: true,
  groupKey: true,
  server: true,
  unreadable: true,
}
const CALL_NAMES: ReadonlySet<string> = new Set(Object.keys(CALL))
const WRITE_NAMES = namesOf<WriteOptions>({ noreply: true })
const COUNTER_NAMES = namesOf<CounterOptions>({ noreply: true, initial: true, ttl: true })

/** The options of each method that has more than the options of every call. */
const NAMES = new Map<string, ReadonlySet<string>>([
  ...['set', 'add', 'replace', 'append', 'prepend', 'touch', 'delete'].map((name) => [name, WRITE_NAMES] as const),
  ['incr', COUNTER_NAMES],
  ['decr', COUNTER_NAMES],
  [
    'meta.get',
    namesOf<MetaGetOptions>({
      vivifySeconds: true,
      recacheSeconds: true,
      touchTtl: true,
      newCas: true,
      compareCas: true,
      noBump: true,
      access: true,
      value: true,
    }),
  ],
  [
    'meta.set',
    namesOf<MetaSetOptions>({
      ttl: true,
      mode: true,
      compareCas: true,
      invalidate: true,
      newCas: true,
      vivifyTtl: true,
    }),
  ],
  [
    'meta.delete',
    namesOf<MetaDeleteOptions>({ compareCas: true, invalidate: true, removeValue: true, ttl: true, newCas: true }),
  ],
  [
    'meta.arithmetic',
    namesOf<MetaArithmeticOptions>({
      delta: true,
      mode: true,
      initial: true,
      vivifyTtl: true,
      ttl: true,
      compareCas: true,
      newCas: true,
    }),
  ],
])

/** Names of other clients, of memcached's flags, and of this client's other methods. */
const HINTS = { timeout: 'timeoutMs', abortSignal: 'signal', group: 'groupKey', noReply: 'noreply' }
const TTL_IS_ARGUMENT = 'the argument before the options'
const LIFETIMES = ['ttl', 'ttlSeconds', 'expires', 'lifetime', 'exptime', 'expiration', 'maxAge']
const TAKES_TTL = new Set(['set', 'add', 'replace', 'cas', 'gat', 'gats', 'touch', 'setMulti'])
const CAS_NAMES = ['cas', 'casUnique']

/**
 * Returns whether a call's options can be read and have only names that the method knows. Nothing is allocated, since
 * most calls with options use it.
 *
 * @param method the name as in `OperationContext.operation`.
 */
export function hasKnownNames(method: string, options: object): boolean {
  const names = NAMES.get(method) ?? CALL_NAMES
  try {
    let isEmpty = true
    for (const name in options) {
      if (!names.has(name)) return false
      void options[name as keyof typeof options]
      isEmpty = false
    }
    // It may be a promise or a list.
    return !isEmpty
  } catch {
    // A getter or a proxy of the caller has thrown.
    return false
  }
}

/**
 * Refuses options that a method does not know, or that cannot be read.
 *
 * @throws MemcacheOptionError that names the option, and the most similar known option.
 */
export function checkNames(method: string, options: CallOptions | undefined): void {
  // Options that are not an object are refused when their values are checked.
  if (typeof options !== 'object' || options === null || hasKnownNames(method, options)) return
  const names = NAMES.get(method) ?? CALL_NAMES
  try {
    // First, since the check of the names reads the values too.
    for (const name in options) readOption(method, options, name as keyof CallOptions)
    checkOptions(method, options, { names: [...names], hints: hintsFor(method, names) })
  } catch (cause) {
    if (isMemcacheError(cause)) throw cause
    throw new MemcacheOptionError(`the options of ${method} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

function readOption(method: string, options: CallOptions, name: keyof CallOptions): void {
  try {
    void options[name]
  } catch (cause) {
    throw new MemcacheOptionError(`the option ${name} of ${method} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

function hintsFor(method: string, names: ReadonlySet<string>): Record<string, string> {
  const hints: Record<string, string> = { ...HINTS }
  const lifetime = ['ttl', 'touchTtl'].find((name) => names.has(name)) ?? TTL_IS_ARGUMENT
  if (lifetime !== TTL_IS_ARGUMENT || TAKES_TTL.has(method)) for (const name of LIFETIMES) hints[name] = lifetime
  if (names.has('compareCas')) for (const name of CAS_NAMES) hints[name] = 'compareCas'
  return hints
}

function namesOf<Options>(own: OwnNames<Options>): ReadonlySet<string> {
  return new Set([...CALL_NAMES, ...Object.keys(own)])
}
