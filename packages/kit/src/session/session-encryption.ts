import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { MemcacheOptionError } from 'memcache-ts-protocol'

/** A random secret of at least 32 characters or bytes, such as the output of `openssl rand -base64 32`. */
export type EncryptionKey = string | Uint8Array

const MIN_KEY_LENGTH = 32
const ALGORITHM = 'aes-256-gcm'
const VERSION = 1
const KEY_ID_BYTES = 4
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** The header has version, key id, nonce and tag; the ciphertext follows. */
const HEADER_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES

interface DerivedKey {
  readonly id: Buffer
  readonly master: Buffer
}

/**
 * Encrypts sessions at rest by AES-256-GCM (NIST SP 800-38D). Each session has its own encryption key, derived from the
 * secret and the item's key, which is authenticated too: one session cannot be decrypted as another, and the limit on
 * random nonces applies to the writes of each session rather than to all writes. The first secret encrypts; every
 * secret decrypts.
 */
export class SessionEncryption {
  readonly #keys: readonly DerivedKey[]

  /** @throws MemcacheOptionError if a secret is too short. */
  constructor(secrets: readonly EncryptionKey[]) {
    this.#keys = secrets.map(derive)
  }

  /**
   * Encrypts a session.
   *
   * @param name the key of its item, to which the result is bound.
   */
  seal(name: string, plain: Uint8Array): Buffer {
    const { id, master } = this.#keys[0]!
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(ALGORITHM, keyOf(master, name), nonce)
    cipher.setAAD(aad(name))
    const sealed = [cipher.update(plain), cipher.final()]
    return Buffer.concat([Buffer.of(VERSION), id, nonce, cipher.getAuthTag(), ...sealed])
  }

  /**
   * Decrypts a session; returns `undefined` if no key decrypts it: it was encrypted with another key or for another
   * name, was changed, or is not encrypted.
   */
  open(name: string, sealed: Buffer): Buffer | undefined {
    if (sealed.length < HEADER_BYTES || sealed[0] !== VERSION) return undefined
    const id = sealed.subarray(1, 1 + KEY_ID_BYTES)
    for (const key of this.#keys) {
      const plain = key.id.equals(id) ? decipher(key, name, sealed) : undefined
      if (plain !== undefined) return plain
    }
    return undefined
  }
}

function decipher({ master }: DerivedKey, name: string, sealed: Buffer): Buffer | undefined {
  const nonceStart = 1 + KEY_ID_BYTES
  const tagStart = nonceStart + NONCE_BYTES
  const opened = createDecipheriv(ALGORITHM, keyOf(master, name), sealed.subarray(nonceStart, tagStart), {
    authTagLength: TAG_BYTES,
  })
  opened.setAAD(aad(name))
  opened.setAuthTag(sealed.subarray(tagStart, HEADER_BYTES))
  try {
    return Buffer.concat([opened.update(sealed.subarray(HEADER_BYTES)), opened.final()])
  } catch {
    return undefined
  }
}

function derive(secret: EncryptionKey): DerivedKey {
  const bytes = typeof secret === 'string' ? Buffer.from(secret) : secret
  if (!(bytes?.length >= MIN_KEY_LENGTH)) {
    throw new MemcacheOptionError(
      `each of the encryptionKeys must have at least ${MIN_KEY_LENGTH} characters: generate one by openssl rand -base64 32`,
    )
  }
  const expand = (info: string, length: number): Buffer => Buffer.from(hkdfSync('sha256', bytes, '', info, length))
  return {
    id: expand('memcache-ts session key id', KEY_ID_BYTES),
    master: expand('memcache-ts session encryption', MIN_KEY_LENGTH),
  }
}

function keyOf(master: Buffer, name: string): Buffer {
  return createHmac('sha256', master).update(name).digest()
}

function aad(name: string): Buffer {
  return Buffer.from(`memcache-ts session\0${name}`)
}

/**
 * Returns the option `encryptionKeys` after checking it. If the option is named but undefined, such as from an
 * environment variable that is not set, sessions would otherwise be stored as plain text.
 *
 * @throws MemcacheOptionError if the option is named and holds no key.
 */
export function checkEncryptionKeys(
  options: object,
  keys: readonly EncryptionKey[] | null | undefined,
): readonly EncryptionKey[] | undefined {
  if (!Object.hasOwn(options, 'encryptionKeys')) return undefined
  if (!Array.isArray(keys) || keys.length === 0) {
    throw new MemcacheOptionError(
      'encryptionKeys is set but holds no key: give at least one, or leave the option out to store sessions unencrypted',
    )
  }
  return keys
}
