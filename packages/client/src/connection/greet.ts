import {
  formatAuth,
  formatVersion,
  hasEarlyMeta,
  isBeforeLeases,
  MemcacheAuthError,
  MemcacheProtocolError,
  MemcacheServerError,
  MemcacheUnsupportedError,
  Opcode,
} from 'memcache-ts-protocol'
import { binaryDialect } from '../dialects/binary/binary-dialect.ts'
import type { Dialect, DialectName } from '../dialects/dialect.ts'
import { metaDialect } from '../dialects/meta/meta-dialect.ts'
import { oldTextDialect, textDialect } from '../dialects/text/text-dialect.ts'
import type { LinesRequest } from '../operations/lines-operation.ts'

/** Who the client says it is. */
export interface Credentials {
  readonly username: string
  readonly password: string
}

/** `version`, which every server answers. */
export const VERSION_REQUEST: LinesRequest = { text: formatVersion(), binary: { opcode: Opcode.version } }
/** The meta no-op, which every server with meta commands answers `MN`. */
const META_NOOP_REQUEST: LinesRequest = { text: 'mn\r\n' }
/** A meta get of a key that nobody stores: `EN` from every server with meta commands. */
const META_GET_REQUEST: LinesRequest = { text: 'mg memcache-ts:meta\r\n' }

/** How much of an answer that makes no sense an error shows. */
const EXCERPT_LENGTH = 80

/** The dialect that a connection begins with. */
export function firstDialect(sasl: boolean): Dialect {
  return sasl ? binaryDialect : textDialect
}

/** How a server is greeted. */
export interface Greeting {
  /** Sends a request in the connection's first dialect. */
  readonly ask: (request: LinesRequest) => Promise<string[]>
  /** Is called before the server is asked for meta commands: a proxy without them may hang up on it. */
  readonly asksForMeta: () => void
  /** A server's words without the password, for errors. */
  readonly redact: (said: string) => string
  readonly sasl: boolean
  readonly credentials: Credentials | undefined
  /** What may be spoken; `text` where the server hung up on the question before. */
  readonly protocol: DialectName | 'auto'
}

/**
 * Sends what comes first on a new connection: the credentials, if there are any, and the question for the version. Then the server is
 * asked by `mn`, and by `mg` where it fails on that, whether it has meta commands: a proxy tells the version of the server behind it, and not what itself passes on.
 * @returns the dialect for what follows.
 * @throws MemcacheAuthError when the credentials are refused.
 * @throws MemcacheProtocolError for an answer to `mn` that makes no sense: the connection cannot be used.
 */
export async function greet(greeting: Greeting): Promise<Dialect> {
  const { sasl, credentials, protocol } = greeting
  if (credentials !== undefined) await authenticate(greeting, credentials)
  const [version = ''] = await greeting.ask(VERSION_REQUEST)
  if (!version.startsWith('VERSION')) {
    const said = JSON.stringify(greeting.redact(version).slice(0, EXCERPT_LENGTH))
    throw new MemcacheProtocolError(`the server answered ${said} to version: it is no memcached`)
  }
  if (sasl) return binaryDialect
  const text = isBeforeLeases(version.replace('VERSION ', '')) ? oldTextDialect : textDialect
  if (protocol !== 'auto') return protocol === 'meta' ? metaDialect : text
  if (hasEarlyMeta(version.replace('VERSION ', ''))) return text
  greeting.asksForMeta()
  const line = await answerOrRefusal(greeting, META_NOOP_REQUEST)
  if (line === 'MN') return metaDialect
  if (line === undefined) return text
  if (line instanceof MemcacheServerError) {
    // memcached's own proxy routes by keys, of which mn has none: it fails (SERVER_ERROR), and has the other meta commands.
    const answer = await answerOrRefusal(greeting, META_GET_REQUEST)
    return answer === 'EN' || answer === 'HD' ? metaDialect : text
  }
  // Of what else it may have said, more can follow.
  throw new MemcacheProtocolError('the server answered neither MN nor an error to mn')
}

/** The line of an answer, an error of the server's own, or `undefined` where it does not know the command. */
async function answerOrRefusal(
  greeting: Greeting,
  request: LinesRequest,
): Promise<string | MemcacheServerError | undefined> {
  try {
    const [line = ''] = await greeting.ask(request)
    return line
  } catch (error) {
    if (error instanceof MemcacheUnsupportedError) return undefined
    if (!(error instanceof MemcacheServerError)) throw error
    return error.message.includes(' SERVER_ERROR ') ? error : undefined
  }
}

async function authenticate({ ask, sasl, redact }: Greeting, { username, password }: Credentials): Promise<void> {
  if (sasl) {
    const value = `\0${username}\0${password}`
    await ask({ text: '', binary: { opcode: Opcode.saslAuth, key: 'PLAIN', value } })
    return
  }
  const [line = ''] = await ask({ text: formatAuth(username, password) })
  if (line !== 'STORED') {
    throw new MemcacheAuthError(
      `the server answered ${JSON.stringify(redact(line).slice(0, EXCERPT_LENGTH))} to the credentials`,
    )
  }
}
