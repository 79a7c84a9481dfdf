import { hashedKey, looksHashed } from 'memcache-ts-client'
import { escapeKeyPart, hasKeyTag, joinKey, keyProblem, KeyTag } from 'memcache-ts-protocol'
import type { Key, KeyPart } from 'memcache-ts-protocol'

/**
 * What the keys begin with that the kit itself makes. No key of a user begins with `~`: at the beginning of a part it is escaped, and a text
 * that begins with it is hashed. Sessions lie where they have always been, so that those that are stored go on; a key of a user that would be
 * among them has a tag before it (docs/format.md).
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

/** A space of keys that are the kit's own. */
export type KeySpace = keyof typeof KeyPrefix

const OWN = '~'

/** An argument as it stands in a key where it is no `KeyPart`. */
export class EncodedArgument {
  readonly text: string

  /** @param text a tag (protocol's key.ts), which no part of another kind can be. */
  constructor(text: string) {
    this.text = text
  }
}

/** A user's key as one text, of whatever length. @throws MemcacheKeyError for a part that can be no part of a key. */
export function keyText(key: Key): string {
  return joinKey(key, encodedText)
}

function encodedText(part: unknown): string {
  // What is no part of any key is refused by its kind.
  return part instanceof EncodedArgument ? part.text : joinKey([part as KeyPart])
}

/**
 * A user's key as memcached can hold it: as it is, or, where it is too long, has bytes that may not be in one, or could be taken for a key that the
 * kit has made, its readable beginning and a hash of all of it.
 * @param text as `keyText` makes it, or as the user has written it.
 * @param isWritten whether the user has written all of it as one text, which may look like anything.
 * @param prefix what the client will put before it, which counts.
 */
export function userKey(text: string, isWritten: boolean, prefix: string): string {
  // With a tag before it, so that its hash is not that of a key of the kit's either.
  if (isWritten && (text.startsWith(OWN) || (text.includes('%') && (hasKeyTag(text) || looksHashed(text))))) {
    return hashedKey(KeyTag.text + text)
  }
  return storedKey(isAmongSessions(text) ? KeyTag.text + text : text, prefix)
}

function isAmongSessions(text: string): boolean {
  return (
    text.startsWith(KeyPrefix.session) &&
    (text.length === KeyPrefix.session.length || text[KeyPrefix.session.length] === ':')
  )
}

/** A prefix as it stands before keys: one part, so that no two prefixes have a key in common, nor one with the sessions of a cache without any. */
export function prefixText(prefix: string): string {
  return prefix === KeyPrefix.session ? KeyTag.text + prefix : escapeKeyPart(prefix)
}

/** A key of the kit's own as memcached can hold it. */
export function storedKey(text: string, prefix: string): string {
  return keyProblem(prefix + text) === undefined ? text : hashedKey(text)
}

/** A key in one of the kit's own spaces, of whatever length. */
export function ownKeyText(space: KeySpace, parts: readonly KeyPart[]): string {
  return `${KeyPrefix[space]}:${joinKey(parts)}`
}
