import { readFileSync } from 'node:fs'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import { digestOf, isAmong } from './credential-digests.ts'

/**
 * The users and passwords of an authentication file (`-Y`): one `user:password` a line. Kept as digests, which are
 * compared in constant time, all of them: how long a refusal takes tells nothing.
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
   * Reads the file again; a bad one leaves the credentials as they are.
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
