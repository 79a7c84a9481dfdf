import { randomBytes } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { types } from 'node:util'
import { ClientFlags, MemcacheOptionError } from 'memcache-ts-protocol'
import { EncodedItem, JsonText } from '../engine/engine.ts'
import { SessionEncryption } from './session-encryption.ts'
import type { EncryptionKey } from './session-encryption.ts'
import type { SessionData } from './session-merge.ts'

/**
 * The value that replaces a destroyed session, so that a slow request cannot bring it back. Sessions are objects or
 * bytes.
 */
export const TOMBSTONE = 'destroyed'
/** The prefix of a tombstone with a token, by which its writer recognizes it. */
const TOKEN_PREFIX = `${TOMBSTONE} `
const TOKEN_BYTES = 9

/** Returns a tombstone that differs from those of other requests. */
export function newTombstone(): string {
  return TOKEN_PREFIX + randomBytes(TOKEN_BYTES).toString('base64url')
}

/** Returns whether a value is the tombstone of a session. */
export function isTombstone(value: unknown): boolean {
  return typeof value === 'string' && (value === TOMBSTONE || value.startsWith(TOKEN_PREFIX))
}

/** A longer session is compressed. If it still exceeds the item limit, the client stores it in chunks. */
const COMPRESS_OVER_BYTES = 900_000
/** A longer text may be nested deeper than the client reads; encoding it as a value checks that. */
const MAX_SURELY_SHALLOW = 2000
/**
 * The largest size of a session once it is decompressed; a larger session is treated as unreadable, since it may be a
 * decompression bomb.
 */
const MAX_BYTES = 256 * 1024 * 1024

const Kind = { json: 0, gzip: 1 } as const

/** Sessions as items: JSON that any program can read, or sealed bytes. */
export class SessionCodec {
  readonly #encryption: SessionEncryption | undefined

  /** @throws MemcacheOptionError if an encryption key is invalid. */
  constructor(encryptionKeys: readonly EncryptionKey[] | undefined) {
    this.#encryption = encryptionKeys && new SessionEncryption(encryptionKeys)
  }

  /**
   * Returns the value to store under a key.
   *
   * @param text the session as JSON.
   */
  encode(key: string, text: string): unknown {
    const isLarge = text.length > COMPRESS_OVER_BYTES
    if (this.#encryption === undefined) {
      if (isLarge) return new EncodedItem(gzipSync(text, { level: 1 }), ClientFlags.json | ClientFlags.gzip)
      // The cache's codec may compress it.
      return text.length <= MAX_SURELY_SHALLOW ? new JsonText(text) : (JSON.parse(text) as SessionData)
    }
    const plain = isLarge
      ? [Buffer.of(Kind.gzip), gzipSync(text, { level: 1 })]
      : [Buffer.of(Kind.json), Buffer.from(text)]
    return new EncodedItem(this.#encryption.seal(key, Buffer.concat(plain)), ClientFlags.kitBytes)
  }

  /** Returns the session in a value; the caller owns it. `undefined` if the value is no session or cannot be decrypted. */
  decode(key: string, value: unknown): SessionData | undefined {
    if (this.#encryption === undefined) return isSession(value) ? value : undefined
    try {
      return this.#open(key, value)
    } catch {
      // The bytes are authentic but no session. An error would lock the user out for as long as the cookie lives.
      return undefined
    }
  }

  #open(key: string, value: unknown): SessionData | undefined {
    if (!Buffer.isBuffer(value)) return undefined
    const plain = this.#encryption!.open(key, value)
    if (plain === undefined) return undefined
    const body = plain.subarray(1)
    const text = (plain[0] === Kind.gzip ? gunzipSync(body, { maxOutputLength: MAX_BYTES }) : body).toString()
    const data: unknown = JSON.parse(text)
    return isSession(data) ? data : undefined
  }
}

function isSession(value: unknown): value is SessionData {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !types.isUint8Array(value)
}

/**
 * Returns a session without its cookie as JSON; a comparison shows whether a request has changed the session.
 *
 * @throws MemcacheOptionError if the session cannot be JSON.
 */
export function textOf(session: object): string {
  const data: Record<string, unknown> = {}
  for (const key of Object.keys(session)) if (key !== 'cookie') define(data, key, (session as SessionData)[key])
  return toJson(data)
}

/** @throws MemcacheOptionError if the session cannot be JSON. */
export function toJson(data: object): string {
  try {
    return JSON.stringify(data)
  } catch (cause) {
    const reason = (cause as Error).message.split('\n', 1)[0]!
    throw new MemcacheOptionError(`the session cannot be stored as JSON (${reason}): put only plain data into it`, {
      cause,
    })
  }
}

/**
 * A session as JSON at one point in time, independent of later changes. Its cookie is turned into text when that is
 * needed.
 */
export class SessionText {
  /** The session without its cookie. */
  readonly withoutCookie: string
  readonly #cookie: unknown
  #whole: string | undefined

  private constructor(withoutCookie: string, cookie: unknown, whole: string | undefined) {
    this.withoutCookie = withoutCookie
    this.#cookie = cookie
    this.#whole = whole
  }

  /** @param data a session whose `cookie` must not be changed afterwards: readers get a copy of it. */
  static of(data: SessionData): SessionText {
    return new SessionText(textOf(data), data['cookie'], undefined)
  }

  /** @param whole the session as stored JSON. */
  static ofJson(whole: string): SessionText {
    return new SessionText('', undefined, whole)
  }

  /** The whole session as JSON. */
  get whole(): string {
    return (this.#whole ??= this.#join())
  }

  #join(): string {
    const cookie = JSON.stringify(this.#cookie)
    if (cookie === undefined) return this.withoutCookie
    const separator = this.withoutCookie === '{}' ? '' : ','
    return `{"cookie":${cookie}${separator}${this.withoutCookie.slice(1)}`
  }
}

/** Sets a property; an assignment to `__proto__` would set the prototype instead. */
function define(data: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') data[key] = value
  else Object.defineProperty(data, key, { value, configurable: true, enumerable: true, writable: true })
}
