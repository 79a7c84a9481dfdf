import {
  formatAuth,
  formatVersion,
  MemcacheAuthError,
  MemcacheProtocolError,
  MemcacheServerError,
  MemcacheUnsupportedError,
  Opcode,
} from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import { binaryProtocol } from '../protocols/binary/binary-protocol.ts'
import type { Protocol, ProtocolName } from '../protocols/protocol.ts'
import { metaProtocol, metaProxyProtocol } from '../protocols/meta/meta-protocol.ts'
import { oldTextProtocol, textProtocol } from '../protocols/text/text-protocol.ts'
import type { LinesRequest } from '../operations/lines-operation.ts'
import type { Credentials } from './credentials.ts'

/** `version`, which every server has. */
export const VERSION_REQUEST: LinesRequest = { text: formatVersion(), binary: { opcode: Opcode.version } }
/** The meta no-op; a server with meta commands responds `MN`. */
const META_NOOP_REQUEST: LinesRequest = { text: 'mn\r\n' }
/** A meta get of a key that is never stored: every server with meta commands responds `EN`. */
const META_GET_REQUEST: LinesRequest = { text: 'mg memcache-ts:meta\r\n' }

/** The length of the excerpt of an invalid response in an error. */
const EXCERPT_LENGTH = 80

/** From this patch on, meta commands have the form of protocol.txt, and the response to a miss has its opaque. */
const FIRST_PATCH_WITH_META = 13

/** Returns the protocol that a connection begins with. */
export function firstProtocol(sasl: boolean): Protocol {
  return sasl ? binaryProtocol : textProtocol
}

/** The parameters of a handshake. */
export interface Handshake {
  /** Sends a request in the connection's first protocol. */
  readonly request: (request: LinesRequest) => Promise<string[]>
  /** Called before the first meta command: a proxy without meta commands may hang up on it. */
  readonly triesMeta: () => void
  /** Returns a server's message without the password, for errors. */
  readonly redact: (text: string) => string
  readonly sasl: boolean
  readonly credentials: Credentials | undefined
  /** The protocols that may be used; `text` if the server hung up on a meta command before. */
  readonly protocol: ProtocolName | 'auto'
}

/**
 * Sends the first requests of a new connection: the credentials, if there are any, then `version`, then `mn`, and `mg`
 * if the server fails on `mn`. The meta commands are tried because a proxy reports the version of the server behind it,
 * which does not show whether the proxy supports them.
 *
 * @returns the protocol of all further requests.
 * @throws MemcacheAuthError if the credentials are refused.
 * @throws MemcacheProtocolError if the response to `mn` is invalid: the connection cannot be used.
 */
export async function shakeHands(handshake: Handshake): Promise<Protocol> {
  const { sasl, credentials, protocol } = handshake
  if (credentials !== undefined) await authenticate(handshake, credentials)
  const [version = ''] = await handshake.request(VERSION_REQUEST)
  if (!version.startsWith('VERSION')) {
    const excerpt = JSON.stringify(handshake.redact(version).slice(0, EXCERPT_LENGTH))
    throw new MemcacheProtocolError(`the server responded with ${excerpt} to version: it is not a memcached`)
  }
  if (sasl) return binaryProtocol
  const text = isBeforeLeases(version.replace('VERSION ', '')) ? oldTextProtocol : textProtocol
  if (protocol !== 'auto') return protocol === 'meta' ? metaProtocol : text
  if (hasEarlyMeta(version.replace('VERSION ', ''))) return text
  handshake.triesMeta()
  const line = await responseOrRefusal(handshake, META_NOOP_REQUEST)
  if (line === 'MN') return metaProtocol
  if (line === undefined) return text
  if (line instanceof MemcacheServerError) {
    // memcached's own proxy routes by key, and mn has no key: mn fails (SERVER_ERROR), but the proxy has the other meta
    // commands.
    const response = await responseOrRefusal(handshake, META_GET_REQUEST)
    return response === 'EN' || response === 'HD' ? metaProxyProtocol : text
  }
  // Further lines may follow any other response.
  throw new MemcacheProtocolError('the server responded to mn with neither MN nor an error')
}

/** Returns whether this `version` is of a memcached before leases (flag N of meta get): 1.4 and 1.5. */
function isBeforeLeases(version: string): boolean {
  return /^1\.[0-5]\./.test(version)
}

/**
 * Returns whether this `version` is of a memcached with an early form of meta commands, 1.6.0 to 1.6.12, which the
 * probe for them (`mn`) cannot distinguish.
 */
function hasEarlyMeta(version: string): boolean {
  const patch = /^1\.6\.(\d+)/.exec(version)?.[1]
  return patch !== undefined && Number(patch) < FIRST_PATCH_WITH_META
}

/**
 * Returns the line of a response, an error of the server itself, or `undefined` if the server does not know the
 * command.
 */
async function responseOrRefusal(
  handshake: Handshake,
  lines: LinesRequest,
): Promise<string | MemcacheServerError | undefined> {
  try {
    const [line = ''] = await handshake.request(lines)
    return line
  } catch (error) {
    if (error instanceof MemcacheUnsupportedError) return undefined
    if (!(error instanceof MemcacheServerError)) throw error
    return error.message.includes(' SERVER_ERROR ') ? error : undefined
  }
}

async function authenticate(handshake: Handshake, credentials: Credentials): Promise<void> {
  if (handshake.sasl) await authenticateBySasl(handshake, credentials)
  else await authenticateByText(handshake, credentials)
}

/** Authenticates by SASL. A server without SASL needs no credentials, like a server without text authentication. */
async function authenticateBySasl({ request, protocol }: Handshake, credentials: Credentials): Promise<void> {
  const { username, password } = credentials
  const value = `\0${username}\0${password}`
  try {
    await request({ text: '', binary: { opcode: Opcode.saslAuth, key: 'PLAIN', value } })
  } catch (error) {
    if (!(error instanceof MemcacheUnsupportedError) || protocol !== 'binary') throw error
  }
}

async function authenticateByText({ request, redact }: Handshake, credentials: Credentials): Promise<void> {
  const { username, password } = credentials
  if (/\s/.test(username)) {
    // It would be another user's name and password.
    throw new MemcacheAuthError(
      "text authentication ends a username at its first space: use SASL (protocol: 'binary'), or a name without spaces",
    )
  }
  const response = await authResponse(request({ text: formatAuth(username, password) }))
  if (response !== 'STORED') {
    throw new MemcacheAuthError(
      `the server responded with ${JSON.stringify(redact(response).slice(0, EXCERPT_LENGTH))} to the credentials`,
    )
  }
}

/** Returns the response to credentials. Any client error counts as refused credentials. */
async function authResponse(response: Promise<string[]>): Promise<string> {
  try {
    const [line = ''] = await response
    return line
  } catch (error) {
    if (!(error instanceof MemcacheServerError) || !error.message.includes(' CLIENT_ERROR ')) throw error
    throw new MemcacheAuthError(error.message, { cause: error })
  }
}

/** Returns whether a server refused the connection because it has too many (`-c`). */
export function isFull(error: MemcacheError): boolean {
  return error instanceof MemcacheServerError && /\bconnections?\b/i.test(error.message)
}
