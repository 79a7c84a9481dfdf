import { MemcacheOptionError, textOption } from 'memcache-ts-protocol'

/** The username and password of the client. */
export interface Credentials {
  readonly username: string
  readonly password: string
}

/**
 * Returns the credentials that options give.
 *
 * @throws MemcacheOptionError if the username or the password is missing, is not text, or cannot be sent. The error
 *   shows neither.
 */
export function credentialsOf(username: unknown, password: unknown): Credentials | undefined {
  if (username === undefined && password === undefined) return undefined
  if (username === undefined || password === undefined) {
    throw new MemcacheOptionError(
      `${username === undefined ? 'password' : 'username'} is set alone: set both username and password`,
    )
  }
  return { username: credential('username', username), password: credential('password', password) }
}

function credential(name: string, given: unknown): string {
  const text = textOption(name, given)
  // SASL PLAIN has zero characters between its parts (RFC 4616), and memcached ends text at one.
  if (text.includes('\0')) throw new MemcacheOptionError(`${name} must not have a zero character`)
  if (!text.isWellFormed())
    throw new MemcacheOptionError(`${name} must be well-formed Unicode: it has half a character`)
  return text
}

/**
 * Messages of memcached itself. A short password that is part of one of these words is not replaced there: the
 * replacement would reveal its letters and hide the message.
 */
const TEXTS_OF_MEMCACHED = new Set([
  'authentication failure',
  'unauthenticated',
  'bad authentication token format',
  'Auth failure.',
  'Unknown command',
  'Invalid arguments',
  'Out of memory',
  'Too large.',
  'Too many open connections',
  'object too large for cache',
  'out of memory storing object',
  'out of memory',
  'bad command line format',
  'bad data chunk',
  'line too long',
  'unsupported protocol',
])

/**
 * Returns a function that replaces the password by `***` in a server's message, in all encodings that a server or proxy
 * may use.
 */
export function redactorOf(credentials: Credentials | undefined): (text: string) => string {
  const { username = '', password = '' } = credentials ?? {}
  if (password === '') return (text) => text
  const forms = [
    Buffer.from(`\0${username}\0${password}`).toString('base64'),
    Buffer.from(password).toString('base64'),
    encodeURIComponent(password),
    // Lines are read as Latin-1.
    ...[password, Buffer.from(password).toString('latin1')].flatMap((text) => [
      text,
      JSON.stringify(text).slice(1, -1),
    ]),
  ]
  const longestFirst = [...new Set(forms)].sort((a, b) => b.length - a.length)
  return (text) => {
    if (TEXTS_OF_MEMCACHED.has(text)) return text
    return longestFirst.reduce((redacted, form) => redacted.replaceAll(form, '***'), text)
  }
}
