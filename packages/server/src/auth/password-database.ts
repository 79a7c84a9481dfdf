import { readFileSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import { digestOf, isAmong } from './credentials.ts'

/** memcached reads lines of 256 bytes: a longer user and password cannot match. */
const MAX_USER_AND_PASSWORD_BYTES = 252
const COLON = 58
const NEWLINE = 10
const RETURN = 13
const AT = 64

/**
 * The users and passwords for SASL: the file that `MEMCACHED_SASL_PWDB` names, one `user:password` a line (memcached's
 * sasl_defs.c). As in memcached, a password ends at the end of its line or at any colon in it, lines without a colon
 * are ignored, changes of the file apply from the next attempt on, and all attempts fail while the file cannot be read.
 * A user without a realm is looked up by its name alone, and as `user@hostname`, the only form in which memcached finds
 * it.
 */
export class PasswordDatabase {
  readonly #path: string
  readonly #realm: Buffer
  #digests: readonly Buffer[] = []
  /** Identifies the version of the file that was read. */
  #version = ''

  /** @throws MemcacheOptionError if the file cannot be read; the message does not quote the file. */
  constructor(path: string, host = hostname()) {
    this.#path = path
    this.#realm = Buffer.from(`@${host}`)
    this.#refresh()
  }

  allows(user: Buffer, password: Buffer): boolean {
    if (user.length + password.length > MAX_USER_AND_PASSWORD_BYTES) return false
    try {
      this.#refresh()
    } catch {
      return false
    }
    const isKnown = isAmong(this.#digests, digestOf(user, password))
    if (user.includes(AT)) return isKnown
    return isAmong(this.#digests, digestOf(Buffer.concat([user, this.#realm]), password)) || isKnown
  }

  /** Reads the file if it has changed since the last time. */
  #refresh(): void {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = statSync(this.#path, { bigint: true })
      const version = [dev, ino, size, mtimeNs, ctimeNs].join(' ')
      if (version === this.#version) return
      this.#version = ''
      this.#digests = digestsOf(readFileSync(this.#path))
      this.#version = version
    } catch (error) {
      this.#digests = []
      this.#version = ''
      const { code } = error as NodeJS.ErrnoException
      throw new MemcacheOptionError(`cannot read the SASL password file ${this.#path}: ${code}`)
    }
  }
}

function digestsOf(file: Buffer): Buffer[] {
  const digests: Buffer[] = []
  let start = 0
  while (start < file.length) {
    const newline = file.indexOf(NEWLINE, start)
    const end = newline === -1 ? file.length : newline
    addLine(digests, file.subarray(start, end))
    start = end + 1
  }
  return digests
}

function addLine(digests: Buffer[], line: Buffer): void {
  const text = line.at(-1) === RETURN ? line.subarray(0, -1) : line
  const colon = text.indexOf(COLON)
  if (colon === -1) return
  const user = text.subarray(0, colon)
  for (let end = text.indexOf(COLON, colon + 1); end !== -1; end = text.indexOf(COLON, end + 1)) {
    digests.push(digestOf(user, text.subarray(colon + 1, end)))
  }
  digests.push(digestOf(user, text.subarray(colon + 1)))
}
