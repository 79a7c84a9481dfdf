import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import { printable } from '../encoded-text.ts'

/**
 * The users and passwords of an authentication file (`-Y`): one `user:password` a line. They are kept as digests. Each
 * attempt is compared with all of them in constant time, so that the duration of a refusal reveals nothing.
 */
export class Credentials {
  readonly #path: string
  #digests: readonly Buffer[]

  /** @throws MemcacheOptionError if the file cannot be read or has another form; the message does not quote the file. */
  constructor(path: string) {
    this.#path = path
    this.#digests = readDigests(path)
  }

  /**
   * Reads the file again. If it is invalid, the credentials stay as they are.
   *
   * @throws MemcacheOptionError as the constructor does.
   */
  reload(): void {
    this.#digests = readDigests(this.#path)
  }

  allows(user: Buffer, password: Buffer): boolean {
    return isAmong(this.#digests, digestOf(user, password))
  }
}

function readDigests(path: string): Buffer[] {
  let text: string
  try {
    text = readFileSync(path, 'latin1')
  } catch (error) {
    throw new MemcacheOptionError(
      `cannot read the authentication file ${path}: ${(error as NodeJS.ErrnoException).code}`,
    )
  }
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''))
  if (lines.at(-1) === '') lines.pop()
  return lines.map((line, index) => {
    const colon = line.indexOf(':')
    if (colon === -1) {
      throw new MemcacheOptionError(`line ${index + 1} of the authentication file ${path} must be 'user:password'`)
    }
    return digestOf(Buffer.from(line.slice(0, colon), 'latin1'), Buffer.from(line.slice(colon + 1), 'latin1'))
  })
}

/**
 * Returns the digest of a user and a password, in the form in which the server keeps and compares them. The length of
 * the user comes first, so that no two pairs have the same bytes.
 */
export function digestOf(user: Buffer, password: Buffer): Buffer {
  return createHash('sha256').update(`${user.length}:`).update(user).update(password).digest()
}

/**
 * Returns whether the digest is in the list. All digests are compared in constant time, so that the duration of a
 * refusal reveals nothing.
 */
export function isAmong(digests: readonly Buffer[], digest: Buffer): boolean {
  let isKnown = false
  for (const known of digests) if (timingSafeEqual(known, digest)) isKnown = true
  return isKnown
}

/** The bytes of a user's name that are logged with wrong credentials. */
const MAX_LOGGED_USER_BYTES = 64

/** Logs refused credentials, at most one line a second, so that guessing does not fill the log; never the password. */
export class RefusalLog {
  readonly #log: (line: string) => void
  #loggedAt = 0
  /** Refusals since the last line. */
  #count = 0

  constructor(log: (line: string) => void) {
    this.#log = log
  }

  /** Counts a refusal in the second `now`; `user` is empty if the credentials contain no user name. */
  refused(user: Buffer, now: number): void {
    this.#count++
    if (now === this.#loggedAt) return
    this.#loggedAt = now
    const whose = user.length === 0 ? '' : ` of user '${printable(user.toString('latin1', 0, MAX_LOGGED_USER_BYTES))}'`
    this.#log(`refused wrong credentials${whose} (attempts since the last such line: ${this.#count})`)
    this.#count = 0
  }
}
