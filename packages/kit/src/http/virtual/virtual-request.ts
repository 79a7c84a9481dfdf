import { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'

/** A `Request` of the Fetch standard with the properties of `IncomingMessage` that the response cache uses. */
export class VirtualRequest extends EventEmitter {
  readonly method: string
  /** Path and query. */
  url: string
  readonly scheme: string
  /** The host of its URL, in lower case. */
  readonly host: string
  headers: IncomingHttpHeaders
  rawHeaders: string[]
  readonly socket: { readonly encrypted: boolean }
  readonly httpVersion = '1.1'
  readonly complete = true
  readonly aborted = false

  constructor(request: Request) {
    super()
    this.method = request.method
    const { scheme, host, path } = splitUrl(request.url)
    this.scheme = scheme
    this.host = host
    this.url = path
    this.socket = { encrypted: scheme === 'https' }
    const headers = Object.create(null) as Record<string, string>
    this.rawHeaders = []
    request.headers.forEach((value, name) => {
      headers[name] = value
      this.rawHeaders.push(name, value)
    })
    this.headers = headers
    headers['host'] ??= host
  }

  /** This object, typed as a request of `node:http`. */
  get asIncomingMessage(): IncomingMessage {
    return this as unknown as IncomingMessage
  }
}

/**
 * Returns the scheme and the host of a URL, to which a path can be appended as text: `new URL(path, base)` would read a
 * path that begins with two slashes as another host.
 */
export function originOf(url: string): string {
  return url.slice(0, url.indexOf('/', url.indexOf('://') + 3))
}

/** Returns the parts of a URL in the form of `Request.url`. */
function splitUrl(url: string): { scheme: string; host: string; path: string } {
  const afterScheme = url.indexOf('://')
  const slash = url.indexOf('/', afterScheme + 3)
  const hash = url.indexOf('#')
  const end = hash === -1 ? url.length : hash
  if (afterScheme === -1 || slash === -1 || slash > end)
    throw new TypeError(`a request must have an absolute URL such as http://localhost/, got ${url}`)
  const authority = url.slice(afterScheme + 3, slash)
  return {
    scheme: url.slice(0, afterScheme),
    host: authority.slice(authority.lastIndexOf('@') + 1),
    path: url.slice(slash, end),
  }
}
