import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { markBackgroundRequest } from '../background-request.ts'
import { CONDITIONAL_FIELDS } from './policy/conditional.ts'
import { isCredentialField } from './policy/request-fields.ts'
import { sentHostOf } from './policy/request-key.ts'

/** Fields that a background request does not have, besides credentials: the client's conditions and directives. */
const LEFT_OUT = new Set<string>([...CONDITIONAL_FIELDS, 'cache-control', 'cookie', 'pragma', 'upgrade'])

/** A socket without a client: reading it yields nothing, and written data are discarded. */
class DetachedSocket extends Duplex {
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly encrypted: boolean

  constructor({ remoteAddress, remotePort, encrypted }: Socket & { encrypted?: boolean }) {
    super()
    this.remoteAddress = remoteAddress
    this.remotePort = remotePort
    this.encrypted = encrypted === true
  }

  override _read(): void {}

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done()
  }

  setTimeout(): this {
    return this
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }
}

/**
 * Returns a background request for the same key as another request, and its response: a GET, or the same method with
 * the same content.
 *
 * @param keyed fields that are in the key, and therefore kept.
 */
export function backgroundExchange(
  like: IncomingMessage,
  url: string,
  { keyed, content }: { readonly keyed: readonly string[]; readonly content?: Uint8Array | undefined },
): { request: IncomingMessage; response: ServerResponse } {
  const socket = new DetachedSocket(like.socket) as unknown as Socket
  const request = new IncomingMessage(socket)
  // Rate limits do not count this request, since no client sent it.
  markBackgroundRequest(request)
  request.method = content === undefined ? 'GET' : like.method!
  request.url = url
  request.httpVersion = '1.1'
  request.httpVersionMajor = 1
  request.httpVersionMinor = 1
  const headers = Object.entries(like.headers).filter(
    ([name]) => keyed.includes(name) || !(LEFT_OUT.has(name) || isCredentialField(name) || name.startsWith(':')),
  )
  // HTTP/2 has `:authority` instead of `Host`.
  const host = sentHostOf(like)
  if (like.headers.host === undefined && host !== undefined) headers.push(['host', host])
  request.headers = Object.fromEntries(headers)
  request.rawHeaders = headers.flatMap(([name, value]) => [value].flat().flatMap((line) => [name, line ?? '']))
  request.complete = true
  if (content !== undefined && content.length > 0) request.push(content)
  request.push(null)
  const response = new ServerResponse(request)
  response.assignSocket(socket)
  // Node's server also emits `close` after `finish`.
  response.once('finish', () => process.nextTick(() => response.emit('close')))
  return { request, response }
}
