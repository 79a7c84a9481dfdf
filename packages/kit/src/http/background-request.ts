import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { markBackgroundRequest } from '../background-request.ts'
import { CONDITIONAL_FIELDS } from './policy/conditional.ts'
import { CREDENTIAL_FIELDS, hostOf } from './policy/request-key.ts'

/** What a request that nobody waits for does not have: who asked, and what of it they already had. */
const LEFT_OUT = new Set<string>([
  ...CONDITIONAL_FIELDS,
  ...CREDENTIAL_FIELDS,
  'cache-control',
  'cookie',
  'pragma',
  'upgrade',
])

/** The client that is not there: reads nothing, and sends nothing. */
class NobodySocket extends Duplex {
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
 * A request for the same as another one, that nobody waits for, and where its response goes: a GET, or one of the same
 * method with the same content.
 *
 * @param keyed fields that are in the key of what is asked for, and so are kept.
 */
export function backgroundExchange(
  like: IncomingMessage,
  url: string,
  { keyed, content }: { readonly keyed: readonly string[]; readonly content?: Uint8Array | undefined },
): { request: IncomingMessage; response: ServerResponse } {
  const socket = new NobodySocket(like.socket) as unknown as Socket
  const request = new IncomingMessage(socket)
  // It is no client's: rate limits do not count it.
  markBackgroundRequest(request)
  request.method = content === undefined ? 'GET' : like.method!
  request.url = url
  request.httpVersion = '1.1'
  request.httpVersionMajor = 1
  request.httpVersionMinor = 1
  const headers = Object.entries(like.headers).filter(
    ([name]) => keyed.includes(name) || !(LEFT_OUT.has(name) || name.startsWith(':')),
  )
  const host = hostOf(like)
  // HTTP/2 tells it otherwise.
  if (like.headers.host === undefined && host !== undefined) headers.push(['host', host])
  request.headers = Object.fromEntries(headers)
  request.rawHeaders = headers.flatMap(([name, value]) => [value].flat().flatMap((line) => [name, line ?? '']))
  request.complete = true
  if (content !== undefined && content.length > 0) request.push(content)
  request.push(null)
  const response = new ServerResponse(request)
  response.assignSocket(socket)
  // As Node's server does, which has no part in this.
  response.once('finish', () => process.nextTick(() => response.emit('close')))
  return { request, response }
}
