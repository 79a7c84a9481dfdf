import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { isDeepStrictEqual } from 'node:util'
import type { ApplicationRequest } from '../policy/identity.ts'
import { withoutParameters } from '../policy/request-key.ts'

/** The parts of a request that the handler does not see, since they are not in the key. */
export interface HiddenParts {
  /** Header fields that are removed. */
  readonly fields: readonly string[]
  /** Header fields that replace them: the validators of the stored response, its missing part, and preferences. */
  readonly added: Readonly<Record<string, string>>
  /** Whether cookies are left out. */
  readonly cookies: boolean
  /** Query parameters that are left out. */
  readonly parameters: ReadonlySet<string>
}

/** Properties that middleware before the cache sets on a request, and the handler reads. */
interface ParsedRequest {
  url?: string
  originalUrl?: string
  query?: unknown
  cookies?: unknown
  signedCookies?: unknown
  app?: { get?: (name: string) => unknown }
}

/**
 * The request as its handler sees it: without the client's own conditions and without ignored cookies and query
 * parameters, in all properties that contain them.
 */
export class HandlerView {
  /** The header fields as the client sent them. */
  readonly clientHeaders: IncomingHttpHeaders
  readonly #restore: (() => void)[] = []
  #isEnded = false

  constructor(request: IncomingMessage, application: ApplicationRequest | undefined, hidden: HiddenParts) {
    this.clientHeaders = request.headers
    this.#hideFields(request, hidden)
    const seen = application === undefined || application === request ? [request] : [request, application]
    for (const one of seen) {
      if (hidden.cookies) this.#hideCookies(one)
      if (hidden.parameters.size > 0) this.#hideParameters(one, hidden.parameters)
    }
  }

  /** Restores the request. */
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    for (const restore of this.#restore.splice(0).toReversed()) restore()
  }

  #hideFields(request: IncomingMessage, { fields, added, cookies }: HiddenParts): void {
    const hidden = new Set([...fields, ...Object.keys(added), ...(cookies ? ['cookie'] : [])])
    const isShown = [...hidden].every((name) => this.clientHeaders[name] === undefined)
    if (isShown && Object.keys(added).length === 0) return
    const headers = { ...this.clientHeaders }
    for (const name of hidden) delete headers[name]
    const rawHeaders: string[] = []
    const { rawHeaders: raw } = request
    for (let index = 0; index + 1 < raw.length; index += 2) {
      if (!hidden.has(raw[index]!.toLowerCase())) rawHeaders.push(raw[index]!, raw[index + 1]!)
    }
    for (const [name, value] of Object.entries(added)) rawHeaders.push(name, value)
    // As own properties: a request of HTTP/2 has no setters for them, and Node counts the raw fields.
    this.#shadow(request, 'headers', { value: Object.assign(headers, added), writable: true })
    this.#shadow(request, 'rawHeaders', { value: rawHeaders, writable: true })
    this.#shadow(request, 'headersDistinct', { get: () => distinct(rawHeaders) })
  }

  #shadow(request: object, name: string, shown: PropertyDescriptor): void {
    const own = Object.getOwnPropertyDescriptor(request, name)
    Object.defineProperty(request, name, { configurable: true, enumerable: true, ...shown })
    this.#restore.push(() => {
      if (own === undefined) Reflect.deleteProperty(request, name)
      else Object.defineProperty(request, name, own)
    })
  }

  #hideCookies(request: ParsedRequest): void {
    for (const name of ['cookies', 'signedCookies'] as const) {
      if (isRecord(request[name])) this.#replace(request, name, Object.create(null))
    }
  }

  #hideParameters(request: ParsedRequest, parameters: ReadonlySet<string>): void {
    const { url: sent = '' } = request
    for (const name of ['url', 'originalUrl'] as const) {
      const url = request[name]
      if (typeof url === 'string') this.#replace(request, name, withoutParameters(url, parameters))
    }
    // Express 5 and Node parse the query each time; others have parsed it before.
    if (Object.hasOwn(request, 'query') && isRecord(request.query)) {
      const hidden = { url: sent, shownUrl: withoutParameters(sent, parameters), ignored: parameters }
      this.#replace(request, 'query', withoutIgnored(request.query, request.app?.get?.('query parser fn'), hidden))
    }
  }

  #replace<Name extends keyof ParsedRequest>(request: ParsedRequest, name: Name, value: ParsedRequest[Name]): void {
    const before = request[name]
    if (before === value) return
    if (!Reflect.set(request, name, value)) {
      // The property is a getter of the framework, which may have remembered its result.
      this.#shadow(request, name, { value, writable: true })
      return
    }
    // A value that the application has changed meanwhile is kept.
    this.#restore.push(() => {
      if (request[name] === value) request[name] = before
    })
  }
}

/** A query before and after its ignored parameters are hidden. */
interface HiddenQuery {
  readonly url: string
  readonly shownUrl: string
  readonly ignored: ReadonlySet<string>
}

/**
 * Returns the parsed query without ignored parameters; changes of other middleware are kept. If the application's
 * parser is known, a member is replaced if the hidden parameters have changed it. Otherwise a member is removed if its
 * name is a hidden parameter, or begins one: `filter` for `filter[page]`.
 */
function withoutIgnored(
  query: Record<string, unknown>,
  parse: unknown,
  { url, shownUrl, ignored }: HiddenQuery,
): Record<string, unknown> {
  if (typeof parse !== 'function') {
    const nested = new Set([...ignored].filter((name) => /.[[.]/.test(name)).map((name) => name.split(/[[.]/, 1)[0]!))
    const kept = Object.entries(query).filter(
      ([name, value]) => !ignored.has(name) && !(nested.has(name) && typeof value === 'object'),
    )
    return Object.fromEntries(kept)
  }
  const [all, shown] = [url, shownUrl].map((each) => parseSearch(parse as ParseSearch, each))
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(query)) {
    if (isDeepStrictEqual(all![name], shown![name])) kept[name] = value
    else if (Object.hasOwn(shown!, name)) kept[name] = shown![name]
  }
  return kept
}

type ParseSearch = (text: string) => unknown

function parseSearch(parse: ParseSearch, url: string): Record<string, unknown> {
  const start = url.indexOf('?')
  const parsed = parse(start === -1 ? '' : url.slice(start + 1))
  return isRecord(parsed) ? parsed : {}
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Returns the header fields with a list of values for each, in the form of `headersDistinct`. */
function distinct(rawHeaders: readonly string[]): NodeJS.Dict<string[]> {
  const fields = Object.create(null) as Record<string, string[]>
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    ;(fields[rawHeaders[index]!.toLowerCase()] ??= []).push(rawHeaders[index + 1]!)
  }
  return fields
}
