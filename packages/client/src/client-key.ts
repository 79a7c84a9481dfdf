import { createHash } from 'node:crypto'
import { types } from 'node:util'
import { joinKey, KeyTag, keyTextProblem, kindOf, MAX_KEY_BYTES, MemcacheKeyError } from 'memcache-ts-protocol'
import type { ClientKey } from './call-options.ts'

/** A key as it is sent: text, or bytes that no text has. */
export type WireKey = string | Buffer

/**
 * Whether a key is bytes, rather than text or parts. Reads no property of the key, which may be anything, and never
 * throws.
 */
export function isBytes(key: unknown): key is Uint8Array {
  return typeof key === 'object' && types.isUint8Array(key)
}

/** The most bytes of a key that is bytes: they are sent as base64, and memcached counts its 250 in that. */
const MAX_BINARY_KEY_BYTES = Math.floor(MAX_KEY_BYTES / 4) * 3

/**
 * A key that is bytes, behind a prefix.
 *
 * @throws MemcacheKeyError if it is empty or too long.
 */
export function binaryKey(prefix: string, key: Uint8Array): Buffer {
  const bytes = Buffer.concat([Buffer.from(prefix), key])
  if (key.length > 0 && bytes.length <= MAX_BINARY_KEY_BYTES) return bytes
  throw new MemcacheKeyError(
    `a key that is bytes must have 1 to ${MAX_BINARY_KEY_BYTES} of them with the prefix, got ${bytes.length}`,
  )
}

/**
 * A key as it stands in errors.
 *
 * @throws MemcacheKeyError for what is no key.
 */
export function nameOf(key: ClientKey): string {
  if (typeof key === 'string') return key
  return isBytes(key) ? `0x${Buffer.from(key).toString('hex')}` : joinKey(key)
}

/** As `nameOf`, for anything that was given as a key. Never throws. */
export function nameOrKindOf(key: ClientKey): string {
  try {
    return nameOf(key)
  } catch {
    return `(${kindOf(key)})`
  }
}

/** The text whose UTF-8 these bytes are, if it can be a key as it is; else `undefined`. */
export function textOfBytes(bytes: Buffer): string | undefined {
  const text = bytes.toString()
  return keyTextProblem(text) === undefined && Buffer.from(text).equals(bytes) ? text : undefined
}

/** How much of a key that is hashed stays readable in front. */
const READABLE_LENGTH = 100
const HASH_LENGTH = 43
/** An escape that was cut. */
const CUT_ESCAPE = /%[\dA-F]?$/

/**
 * What stands for a key that memcached cannot hold: its readable beginning, `%7e`, and the SHA-256 of all of it in
 * base64url.
 *
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
