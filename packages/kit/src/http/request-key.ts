import type { IncomingMessage } from 'node:http'
import { KeyPrefix } from '../cache-key.ts'
import { lineOf, listOf } from './fields.ts'

/** How requests are told apart. */
export interface KeyRules {
  /** The hosts that are answered from the cache, in lower case; `undefined`: any, each by itself. */
  readonly hosts: ReadonlySet<string> | undefined
  /** Whether the order of query parameters makes no difference. */
  readonly sortQuery: boolean
  /** Query parameters that make no difference. */
  readonly ignoreQuery: ReadonlySet<string>
  /** Cookies that make no difference; `true`: none does. */
  readonly ignoreCookies: ReadonlySet<string> | true
}

/** A request as it came to the server, whatever a framework has made of it since. */
export interface RequestTarget {
  readonly request: IncomingMessage
  /** Path and query, as requested. */
  readonly url: string
  readonly scheme: string
  /** What else tells its responses from others of the same URL: the version of an API that a request field asks for. */
  readonly scope?: string | undefined
  /** What stands in place of path and query. */
  readonly key?: string | undefined
}

/** The host that a request is for, in lower case. */
export function hostOf(request: IncomingMessage): string | undefined {
  return (lineOf(request.headers, ':authority') ?? request.headers.host)?.toLowerCase()
}

/** The path of a URL, without its query. */
export function pathOf(url: string): string {
  const end = url.search(/[?#]/)
  return end === -1 ? url : url.slice(0, end)
}

/** Fields that say who asks, besides cookies. */
export const CREDENTIAL_FIELDS = ['authorization', 'x-api-key', 'x-auth-token', 'x-access-token'] as const

/** Whether a request says who asks by a field that is not in its key. */
export function hasCredentials({ headers }: IncomingMessage, vary: readonly string[]): boolean {
  return CREDENTIAL_FIELDS.some((name) => headers[name] !== undefined && !vary.includes(name))
}

/** Fields by which some frameworks take a request for one of another method. */
const METHOD_OVERRIDES = ['x-http-method-override', 'x-http-method', 'x-method-override'] as const

/**
 * Why a request is not answered from the cache, and its answer not stored: it says something that is not in the key, and
 * that the answer may depend on. `undefined` for one that is.
 */
export function bypassReason({ request, url }: RequestTarget, rules: KeyRules): string | undefined {
  const { headers } = request
  const host = hostOf(request)
  if (host === undefined || !url.startsWith('/')) return 'host'
  if (rules.hosts !== undefined && !rules.hosts.has(host)) return 'host'
  if (namesAnotherHost(request, host)) return 'forwarded-host'
  if (headers.cookie !== undefined && countsCookies(headers.cookie, rules.ignoreCookies)) return 'cookie'
  // For the origin alone (RFC 9111, section 4.3.2).
  if (headers['if-match'] !== undefined || headers['if-unmodified-since'] !== undefined) return 'precondition'
  // A body may change the answer to a GET, and is in no key.
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0) return 'body'
  if (METHOD_OVERRIDES.some((name) => headers[name] !== undefined)) return 'method-override'
  const { originalMethod } = request as { originalMethod?: unknown }
  return originalMethod !== undefined && originalMethod !== request.method ? 'method-override' : undefined
}

/** Whether a proxy, or whoever plays one, names a host that is not in the key: the answer may have it in its links. */
function namesAnotherHost({ headers }: IncomingMessage, host: string): boolean {
  const forwarded = listOf(lineOf(headers, 'x-forwarded-host'))
  for (const [, quoted, token] of (headers.forwarded ?? '').matchAll(/host=(?:"([^"]*)"|([^;,\s]*))/gi)) {
    forwarded.push((quoted ?? token ?? '').toLowerCase())
  }
  return forwarded.some((name) => name !== host)
}

function countsCookies(cookies: string, ignored: ReadonlySet<string> | true): boolean {
  if (ignored === true) return false
  return cookies.split(';').some((cookie) => !ignored.has(cookie.split('=', 1)[0]!.trim()))
}

/** What a request is stored under, in full. */
export function requestKey({ request, url, scheme, scope, key }: RequestTarget, rules: KeyRules): readonly string[] {
  const target = key === undefined ? normalisedUrl(url, rules) : `~${key}`
  return [KeyPrefix.http, scheme, hostOf(request)!, ...(scope === undefined ? [] : [`=${scope}`]), target]
}

function normalisedUrl(url: string, { sortQuery, ignoreQuery }: KeyRules): string {
  const start = url.indexOf('?')
  if (start === -1 || (!sortQuery && ignoreQuery.size === 0)) return url
  let parameters = url.slice(start + 1).split('&')
  if (ignoreQuery.size > 0) parameters = parameters.filter((parameter) => !ignoreQuery.has(nameOf(parameter)))
  // By the names alone, and stable: several values of one name are a list, whose order counts.
  if (sortQuery) parameters.sort((one, other) => compare(nameOf(one), nameOf(other)))
  return parameters.length === 0 ? url.slice(0, start) : `${url.slice(0, start)}?${parameters.join('&')}`
}

function nameOf(parameter: string): string {
  const name = parameter.split('=', 1)[0]!
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

function compare(one: string, other: string): number {
  if (one === other) return 0
  return one < other ? -1 : 1
}
