import { createHash } from 'node:crypto'
import { KeyTag, keyTextProblem, MemcacheKeyError } from 'memcache-ts-protocol'

/** How much of a key that is hashed stays readable in front. */
const READABLE_LENGTH = 100
const HASH_LENGTH = 43
/** An escape that was cut. */
const CUT_ESCAPE = /%[\dA-F]?$/

/**
 * What stands for a key that memcached cannot hold: its readable beginning, `%7e`, and the SHA-256 of all of it in base64url.
 * @throws MemcacheKeyError for text that is no well-formed Unicode, whose bytes may be those of another.
 */
export function hashedKey(key: string | Uint8Array): string {
  if (typeof key === 'string' && !key.isWellFormed()) throw new MemcacheKeyError(keyTextProblem(key)!, { key })
  const text = typeof key === 'string' ? key : Buffer.from(key.subarray(0, READABLE_LENGTH)).toString('latin1')
  const readable = /^[!-~]*/.exec(text)![0].slice(0, READABLE_LENGTH).replace(CUT_ESCAPE, '')
  return `${readable}${KeyTag.hash}${createHash('sha256').update(key).digest('base64url')}`
}

/** Whether a key could be what `hashedKey` made of another one. */
export function looksHashed(key: string): boolean {
  return key.startsWith(KeyTag.hash, key.length - HASH_LENGTH - KeyTag.hash.length)
}
