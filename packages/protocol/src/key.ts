import { MemcacheKeyError } from './errors.ts'
import { MAX_KEY_BYTES } from './limits.ts'

/** One part of a key. */
export type KeyPart = string | number | bigint | boolean
/** A key: as it is, or parts that are escaped and joined by `:`, so that `['city', 42]` is `city:42`. */
export type Key = string | readonly KeyPart[]

const SPACE = 32
const DELETE = 127
/** What may not stand in a part as it is: the separator, the escape itself, spaces and controls. */
// oxlint-disable-next-line no-control-regex -- control characters are what it is about
const UNSAFE_IN_PART = /[:%\u0000- \u007f]/g

/** The key as one string. Parts that differ never give the same key. */
export function joinKey(key: Key): string {
  if (typeof key === 'string') return key
  let joined = ''
  for (let index = 0; index < key.length; index++) {
    const part = key[index]!
    if (index > 0) joined += ':'
    joined += typeof part === 'string' ? escapePart(part) : part
  }
  return joined
}

const COLON = 58
const PERCENT = 37

function escapePart(part: string): string {
  // Most parts have nothing to escape, and looking is a tenth of what replacing costs.
  for (let index = 0; index < part.length; index++) {
    const code = part.charCodeAt(index)
    if (code <= SPACE || code === COLON || code === PERCENT || code === DELETE) {
      return part.replaceAll(UNSAFE_IN_PART, (character) => encodeURIComponent(character))
    }
  }
  return part
}

/**
 * What is wrong with a key for memcached, or `undefined`: 1 to 250 bytes of UTF-8, no space or control character
 * (protocol.txt, "Keys").
 */
export function keyProblem(key: string): string | undefined {
  if (key.length === 0) return 'a key must not be empty'
  for (let index = 0; index < key.length; index++) {
    const code = key.charCodeAt(index)
    if (code <= SPACE || code === DELETE) {
      const what = code === SPACE ? 'a space' : 'a control character'
      return `a key must not contain ${what}; give it as parts, ['name', value], and it is escaped`
    }
  }
  // No character takes more than three bytes.
  if (key.length * 3 <= MAX_KEY_BYTES) return undefined
  const bytes = Buffer.byteLength(key)
  return bytes > MAX_KEY_BYTES ? `a key must not be over ${MAX_KEY_BYTES} bytes, this one has ${bytes}` : undefined
}

/** @throws MemcacheKeyError for a key that memcached cannot hold. */
export function checkKey(key: string): void {
  const problem = keyProblem(key)
  if (problem !== undefined) throw new MemcacheKeyError(problem, { key })
}
