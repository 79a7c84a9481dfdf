import { createHash } from 'node:crypto'
import { types } from 'node:util'
import { joinKey, KeyTag, keyTextProblem, kindOf, MAX_KEY_BYTES, MemcacheKeyError } from 'memcache-ts-protocol'
import type { ClientKey } from './call-options.ts'

/** A key as it is sent: text, or bytes that are not valid text. */
export type WireKey = string | Buffer

/**
 * Returns whether a key is bytes, and not text or parts. Accepts any value, reads none of its properties, and never
 * throws.
 */
export function isBytes(key: unknown): key is Uint8Array {
  return typeof key === 'object' && types.isUint8Array(key)
}

/** The maximum length of a binary key: it is sent as base64, whose length memcached limits to 250. */
const MAX_BINARY_KEY_BYTES = Math.floor(MAX_KEY_BYTES / 4) * 3

/**
 * Returns a binary key with a prefix.
 *
 * @throws MemcacheKeyError if it is empty or too long.
 */
export function binaryKey(prefix: string, key: Uint8Array): Buffer {
  const bytes = Buffer.concat([Buffer.from(prefix), key])
  if (key.length > 0 && bytes.length <= MAX_BINARY_KEY_BYTES) return bytes
  throw new MemcacheKeyError(
    `a key of bytes must have 1 to ${MAX_BINARY_KEY_BYTES} bytes with the prefix, got ${bytes.length}`,
  )
}

/**
 * Returns a key as errors show it.
 *
 * @throws MemcacheKeyError if the value is not a key.
 */
export function nameOf(key: ClientKey): string {
  if (typeof key === 'string') return key
  return isBytes(key) ? `0x${Buffer.from(key).toString('hex')}` : joinKey(key)
}

/** Returns a key as errors show it, or the kind of a value that is not a key. Never throws. */
export function nameOrKindOf(key: ClientKey): string {
  try {
    return nameOf(key)
  } catch {
    return `(${kindOf(key)})`
  }
}

/** Returns the text whose UTF-8 these bytes are, if it is a valid key; otherwise `undefined`. */
export function textOfBytes(bytes: Buffer): string | undefined {
  const text = bytes.toString()
  return keyTextProblem(text) === undefined && Buffer.from(text).equals(bytes) ? text : undefined
}

/** The length of the readable beginning of a hashed key. */
const READABLE_LENGTH = 100
const HASH_LENGTH = 43
/** An incomplete escape at the end. */
const CUT_ESCAPE = /%[\dA-F]?$/

/**
 * Returns a valid key in place of one that memcached cannot hold: its readable beginning, `%7e`, and the SHA-256 of the
 * whole key in base64url.
 *
 * @example
 *   await client.get(hashedKey(request.url))
 *
 * @throws MemcacheKeyError if the text is not well-formed Unicode: its bytes could be those of another key.
 */
export function hashedKey(key: string | Uint8Array): string {
  if (typeof key === 'string' && !key.isWellFormed()) throw new MemcacheKeyError(keyTextProblem(key)!, { key })
  const text = typeof key === 'string' ? key : Buffer.from(key.subarray(0, READABLE_LENGTH)).toString('latin1')
  const readable = /^[!-~]*/.exec(text)![0].slice(0, READABLE_LENGTH).replace(CUT_ESCAPE, '')
  return `${readable}${KeyTag.hash}${createHash('sha256').update(key).digest('base64url')}`
}

/** Returns whether a key has the form of a result of `hashedKey`. */
export function looksHashed(key: string): boolean {
  return key.startsWith(KeyTag.hash, key.length - HASH_LENGTH - KeyTag.hash.length)
}
