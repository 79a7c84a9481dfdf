import type { IncomingHttpHeaders, OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http'

/** The header fields of a message, by their lower-case names; a field that was sent several times is a list. */
export type Fields = Record<string, string | string[]>

/**
 * Returns a field's value as one line, with several lines combined (RFC 9110, section 5.3); `undefined` if it is
 * missing. The name may come from a message, as by `Vary: constructor`, so it is never looked up on an object's
 * prototype.
 */
export function lineOf(fields: Fields | IncomingHttpHeaders, name: string): string | undefined {
  if (!Object.hasOwn(fields, name)) return undefined
  const value = fields[name]
  return Array.isArray(value) ? value.join(', ') : value
}

/** Returns empty header fields without inherited properties: `__proto__` is a field name like any other. */
export function noFields(): Fields {
  return Object.create(null) as Fields
}

/** Returns Node's header fields with lower-case names. */
export function toFields(headers: OutgoingHttpHeaders): Fields {
  const fields = noFields()
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined) fields[name.toLowerCase()] = toText(value)
  return fields
}

/** `ServerResponse.writeHead`, whose second argument may be missing. */
export type WriteHead = (status: number, ...rest: readonly unknown[]) => ServerResponse

/**
 * Sets the fields that were given to `writeHead`, an object, or a list of names and values in turn, so that they can
 * still be seen and changed; returns its other arguments.
 */
export function setHeadArguments(response: ServerResponse, [first, second]: readonly unknown[]): readonly string[] {
  const given = typeof first === 'string' ? second : (second ?? first)
  if (Array.isArray(given)) setList(response, Array.isArray(given[0]) ? (given.flat() as OutgoingHttpHeader[]) : given)
  else
    for (const [name, value] of Object.entries(given ?? {}))
      if (value !== undefined) response.setHeader(name, value as string)
  return typeof first === 'string' ? [first] : []
}

function setList(response: ServerResponse, list: readonly OutgoingHttpHeader[]): void {
  if (list.length % 2 !== 0)
    throw Object.assign(new TypeError('the list of header fields must have a value for each name'), {
      code: 'ERR_INVALID_ARG_VALUE',
    })
  const lines = new Map<string, { name: string; values: string[] }>()
  for (let index = 0; index + 1 < list.length; index += 2) {
    const name = String(list[index])
    const values = [toText(list[index + 1]!)].flat()
    const before = lines.get(name.toLowerCase())
    if (before === undefined) lines.set(name.toLowerCase(), { name, values })
    else before.values.push(...values)
  }
  for (const { name, values } of lines.values()) response.setHeader(name, values.length === 1 ? values[0]! : values)
}

function toText(value: OutgoingHttpHeader): string | string[] {
  return Array.isArray(value) ? value.map(String) : String(value)
}

/**
 * Fields that are never stored: they belong to a connection (RFC 9110, section 7.6.1) or to one client, or are computed
 * for each response.
 */
const NEVER_STORED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'http2-settings',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'set-cookie',
  'age',
  'cache-status',
  'content-length',
])
/** Fields of rate limits belong to one client. */
const LIMITS = /^(?:x-)?ratelimit(?:-|$)/

/** Fields that have one value: HTTP/2 refuses to send several (`node:http2`). */
const SINGLE_VALUED: ReadonlySet<string> = new Set([
  'access-control-allow-credentials',
  'access-control-max-age',
  'access-control-request-method',
  'content-encoding',
  'content-language',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'dnt',
  'etag',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'range',
  'referer',
  'retry-after',
  'tk',
  'upgrade-insecure-requests',
  'user-agent',
  'x-content-type-options',
])

/** Returns whether a field, in lower case, has one value, so that a list of values cannot be sent by every protocol. */
export function isSingleValued(name: string): boolean {
  return SINGLE_VALUED.has(name)
}

/** Returns whether a field, in lower case, is stored with no response. */
export function isNeverStored(name: string): boolean {
  return NEVER_STORED.has(name) || LIMITS.test(name)
}

/**
 * Returns the fields that may be stored: without fields of the connection, fields of one client, and fields that
 * `Connection`, `no-cache="…"` or `private="…"` name.
 */
export function storableFields(fields: Fields, named: Iterable<string>): Fields {
  const left = new Set([...listOf(lineOf(fields, 'connection')), ...named])
  const stored = noFields()
  for (const [name, value] of Object.entries(fields)) {
    if (!isNeverStored(name) && !left.has(name)) stored[name] = value
  }
  return stored
}

/** Returns the members of a list of tokens, in lower case. */
export function listOf(line: string | undefined): string[] {
  if (line === undefined) return []
  const members = line.split(',').map((member) => member.trim().toLowerCase())
  return members.filter((member) => member !== '')
}

/** Returns whether two values of a field are equal. */
export function sameValue(one: string | string[] | undefined, other: string | string[] | undefined): boolean {
  return Array.isArray(one) && Array.isArray(other)
    ? one.length === other.length && one.every((line, index) => line === other[index])
    : one === other
}

/** Returns a status as the number that is sent: Node also accepts text, such as `'304'`. */
export function statusOf(status: unknown): number {
  return Math.trunc(Number(status))
}

/** Calls a hook when the head of a response is about to be sent, with its status and fields. */
export function beforeHead(response: ServerResponse, hook: (status: number, fields: Fields) => void): void {
  const writeHead = Reflect.get(response, 'writeHead') as WriteHead
  response.writeHead = (status: number, ...rest: readonly unknown[]) => {
    if (response.headersSent) return writeHead.call(response, status, ...rest)
    const others = setHeadArguments(response, rest)
    hook(statusOf(status), toFields(response.getHeaders()))
    return writeHead.call(response, status, ...others)
  }
}
