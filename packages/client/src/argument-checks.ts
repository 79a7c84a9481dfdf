import { kindOf, MemcacheOptionError, textOption, Uint64 } from 'memcache-ts-protocol'

const MAX_UINT64 = 2n ** 64n - 1n

/** Returns a number as 64 bits. @throws MemcacheOptionError if it is not a whole number of 64 bits. */
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

/** Returns keys and their values as pairs. @throws MemcacheOptionError if `items` is not an iterable of pairs. */
export function pairsOf<Given>(items: Iterable<readonly [Given, unknown]>): (readonly [Given, unknown])[] {
  if (typeof (items as Partial<typeof items> | null | undefined)?.[Symbol.iterator] === 'function') {
    const pairs = [...items]
    if (pairs.every((pair) => Array.isArray(pair))) return pairs
  }
  throw new MemcacheOptionError(`items must be a Map or pairs of keys and values, got ${kindOf(items)}`)
}

/** Returns a whole number of at most 31 bits, as memcached accepts it. @throws MemcacheOptionError for other values. */
export function wholeNumber(name: string, value: unknown): number {
  if (typeof value !== 'number') throw new MemcacheOptionError(`${name} must be a whole number, got ${kindOf(value)}`)
  if (Number.isInteger(value) && value >= 0 && value < 2 ** 31) return value
  throw new MemcacheOptionError(`${name} must be a whole number from 0 to 2^31 - 1, got ${value}`)
}

/** @throws MemcacheOptionError if a form of `stats` does not consist of words. */
export function checkStatsForm(form: string): void {
  if (/^[\w ]+$/.test(textOption('form', form))) return
  throw new MemcacheOptionError(`a form of stats is words, such as 'items', got ${JSON.stringify(form)}`)
}
