import { hashedKey } from 'memcache-ts-client'
import { escapeKeyPart, hasKeyTag, joinKey, keyProblem, KeyTag } from 'memcache-ts-protocol'
import type { Key, KeyPart } from 'memcache-ts-protocol'

/**
 * The prefixes of the keys that the kit makes. No key of a user begins with `~`: a part that begins with it is escaped,
 * and a whole key that begins with it is hashed. Sessions keep the prefix of earlier versions, so that stored sessions
 * stay valid; a user's key that would be among them gets a tag in front (docs/format.md).
 */
export const KeyPrefix = {
  session: 'session',
  rate: '~rate',
  tag: '~tag',
  lock: '~lock',
  mutex: '~mutex',
  hot: '~hot',
  keyv: '~keyv',
  http: '~http',
} as const

/** The name of one of the kit's key spaces. */
export type KeySpace = keyof typeof KeyPrefix

const OWN = '~'

/** Marks an `EncodedArgument`: a cached function and its cache may come from different copies of this package. */
const ENCODED = Symbol.for('memcache-ts.encoded-argument')

/** An argument of a function that is not a `KeyPart`, encoded for a key. */
export class EncodedArgument {
  readonly [ENCODED] = true
  readonly text: string

  /** @param text begins with a tag (protocol's key.ts) that no other kind of part begins with. */
  constructor(text: string) {
    this.text = text
  }
}

/**
 * Returns a user's key as one string of any length.
 *
 * @throws MemcacheKeyError if a part has the wrong type or cannot be encoded.
 */
export function keyText(key: Key): string {
  return joinKey(key, encodedText)
}

function encodedText(part: unknown): string {
  // joinKey refuses values that are not key parts, and names their type.
  const isEncoded = typeof part === 'object' && part !== null && ENCODED in part
  return isEncoded ? (part as EncodedArgument).text : joinKey([part as KeyPart])
}

/**
 * Returns a user's key as memcached can hold it. A key that is too long, has bytes that memcached refuses, or could be
 * taken for one of the kit's keys becomes its readable beginning and a hash of the whole key.
 *
 * @param text as `keyText` returns it.
 * @param prefix the client's key prefix; it counts towards the maximum length.
 */
export function userKey(text: string, prefix: string): string {
  return storedKey(isAmongSessions(text) ? KeyTag.text + text : text, prefix)
}

/** Like `userKey`, for a whole key that the user wrote as one string, which may have any content. */
export function writtenKey(text: string, prefix: string): string {
  // The tag keeps the hash apart from the hashes of the kit's own keys. A hashed key has a tag, too.
  return text.startsWith(OWN) || hasKeyTag(text) ? hashedKey(KeyTag.text + text) : userKey(text, prefix)
}

function isAmongSessions(text: string): boolean {
  return (
    text.startsWith(KeyPrefix.session) &&
    (text.length === KeyPrefix.session.length || text[KeyPrefix.session.length] === ':')
  )
}

/**
 * Returns a prefix as one escaped part of a key, so that no two prefixes share a key, and no prefix shares one with the
 * sessions of a cache without a prefix.
 */
export function prefixText(prefix: string): string {
  return prefix === KeyPrefix.session ? KeyTag.text + prefix : escapeKeyPart(prefix)
}

/** Returns one of the kit's keys as memcached can hold it: hashed if it is too long or has refused bytes. */
export function storedKey(text: string, prefix: string): string {
  return keyProblem(prefix + text) === undefined ? text : hashedKey(text)
}

/** Returns a key in one of the kit's key spaces, of any length. */
export function ownKeyText(space: KeySpace, parts: readonly KeyPart[]): string {
  return `${KeyPrefix[space]}:${joinKey(parts)}`
}
