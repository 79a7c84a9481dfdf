import { createHash } from 'node:crypto'
import { hashedKey } from 'memcache-ts-client'
import { joinKey, keyProblem } from 'memcache-ts-protocol'
import type { Key, KeyPart } from 'memcache-ts-protocol'

/** The prefixes of the keys that the kit itself makes; users' keys should not begin with them (docs/format.md). */
export const KeyPrefix = {
  session: 'session',
  rate: 'rate',
  tag: 'tag',
  lock: 'lock',
  hot: 'hot',
  keyv: 'keyv',
  http: 'http',
} as const

/**
 * A key as memcached can hold it: as it is, or, where it is too long or has bytes that may not be in one, its readable
 * beginning and a hash of all of it.
 * @param prefix what the client will put before it, which counts.
 */
export function cacheKey(key: Key, prefix = ''): string {
  const joined = joinKey(key)
  return keyProblem(prefix + joined) === undefined ? joined : hashedKey(joined)
}

/** Arguments as parts of a key: simple ones as they are, others by a hash of what they hold, in any order of their keys. */
export function argumentParts(args: readonly unknown[]): KeyPart[] {
  return args.map((argument) => {
    switch (typeof argument) {
      case 'string':
      case 'number':
      case 'bigint':
      case 'boolean':
        return argument
      default:
        return createHash('sha256').update(stableText(argument)).digest('base64url').slice(0, 22)
    }
  })
}

/** A text that is the same for values that hold the same, whatever the order of their keys. */
function stableText(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => {
    if (typeof item === 'bigint') return `${item}n`
    if (item === undefined) return { undefined: true }
    if (item instanceof Map) return { map: [...item] }
    if (item instanceof Set) return { set: [...item] }
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
