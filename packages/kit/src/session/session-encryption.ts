import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { MemcacheOptionError } from 'memcache-ts-protocol'

/** A secret of at least 32 characters or bytes, made by chance: `openssl rand -base64 32`. */
export type EncryptionKey = string | Uint8Array

const MIN_KEY_LENGTH = 32
const ALGORITHM = 'aes-256-gcm'
const VERSION = 1
const KEY_ID_BYTES = 4
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** version, key id, nonce, tag; then the ciphertext. */
const HEADER_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES

interface DerivedKey {
  readonly id: Buffer
  readonly master: Buffer
}

/**
 * Sessions at rest, encrypted by AES-256-GCM (NIST SP 800-38D). Each is under a key of its own, derived from the secret
 * and the item's key, which is authenticated too: what was sealed for one session cannot be opened as another's, and
 * the bound on random nonces holds for a session's writes instead of for all. The first secret seals; any opens.
 */
export class SessionEncryption {
  readonly #keys: readonly DerivedKey[]

  /** @throws MemcacheOptionError for no secret at all, or one that is too short. */
  constructor(secrets: readonly EncryptionKey[]) {
    this.#keys = secrets.map(derive)
  }

  /** @param name what the result is bound to: the key of its item. */
  seal(name: string, plain: Uint8Array): Buffer {
    const { id, master } = this.#keys[0]!
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(ALGORITHM, keyOf(master, name), nonce)
    cipher.setAAD(aad(name))
    const sealed = [cipher.update(plain), cipher.final()]
    return Buffer.concat([Buffer.of(VERSION), id, nonce, cipher.getAuthTag(), ...sealed])
  }

  /** `undefined` for what none of the keys opens: sealed by another key or for another name, changed, or never sealed. */
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
      `an encryption key has at least ${MIN_KEY_LENGTH} characters: make one by openssl rand -base64 32`,
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
 * Checks keys that were given by name. An option that is named but undefined, as an environment variable that is not
 * set, would otherwise store sessions as plain text.
 *
 * @throws MemcacheOptionError for no keys where the option is named.
 */
export function checkEncryptionKeys(
  options: object,
  keys: readonly EncryptionKey[] | null | undefined,
): readonly EncryptionKey[] | undefined {
  if (!Object.hasOwn(options, 'encryptionKeys')) return undefined
  if (!Array.isArray(keys) || keys.length === 0) {
    throw new MemcacheOptionError(
      'encryptionKeys is named but holds no key: give at least one, or leave the option out to store sessions unencrypted',
    )
  }
  return keys
}
