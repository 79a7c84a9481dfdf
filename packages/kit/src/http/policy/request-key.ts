import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { lineOf } from '../fields.ts'
import { hasClientCertificate, hasIdentity, isOfKnownUser } from './identity.ts'
import type { ApplicationRequest } from './identity.ts'
import { isSplitByAmpersand, parameterName, searchedUrl } from './no-vary-search.ts'
import type { SearchRule } from './no-vary-search.ts'
import {
  hasClientFields,
  hasCredentials,
  isAddressField,
  isCredentialField,
  keyedFields,
  overridesMethod,
} from './request-fields.ts'

/** The rules by which requests have different keys. */
export interface KeyRules {
  /** The hosts that are served from the cache, in lower case; `undefined` means all, each with its own responses. */
  readonly hosts: ReadonlySet<string> | undefined
  /** Whether the order of query parameters does not matter. */
  readonly sortQuery: boolean
  /** Query parameters that do not matter. */
  readonly ignoreQuery: ReadonlySet<string>
  /** Cookies that do not matter; `true` for all cookies. */
  readonly ignoreCookies: ReadonlySet<string> | true
}

/** A request as it was received, before changes by a framework. */
export interface RequestTarget {
  readonly request: IncomingMessage
  /** Path and query, as requested. */
  readonly url: string
  readonly scheme: string
  /** A further part of the key: the version of an API that a request field selects. */
  readonly scope?: string | undefined
  /** Replaces path and query. */
  readonly key?: string | undefined
  /** The request as the application sees it, if that is not Node's own object. */
  readonly application?: ApplicationRequest | undefined
  /** Further objects from which the handler may know the user: the arguments of a Fetch handler. */
  readonly contexts?: readonly object[] | undefined
  /** Identifies the content (`contentKey`); `undefined` for methods without content, such as GET. */
  readonly content?: string | undefined
  /**
   * Whether the application trusts the proxy that the request came by (`trust proxy` of Express, `trustProxy` of
   * Fastify).
   */
  readonly trustsProxy?: boolean | undefined
}

/** Returns the host of a request as it was sent, since a handler may send it back in this form. */
export function sentHostOf({ headers }: IncomingMessage): string | undefined {
  return lineOf(headers, ':authority') ?? headers.host
}

/** Returns the host of a request, in lower case. */
export function hostOf(request: IncomingMessage): string | undefined {
  return sentHostOf(request)?.toLowerCase()
}

/** The scheme and the host of a URL in absolute form, which clients send to proxies (RFC 9112, section 3.2.2). */
const ORIGIN = /^[a-z][\da-z+.-]*:\/\/[^/?#]*/i

/** Returns the path of a URL, without its query. */
export function pathOf(url: string): string {
  if (!url.startsWith('/') && ORIGIN.test(url)) return pathOf(url.replace(ORIGIN, '').replace(/^(?!\/)/, '/'))
  const end = url.search(/[?#]/)
  return end === -1 ? url : url.slice(0, end)
}

/** Returns whether the user of a request is known: by its fields, by its connection, or to the application. */
export function isIdentified(target: RequestTarget, vary: readonly string[]): boolean {
  const { request, application = request } = target
  if (hasCredentials(request.headers, vary)) return true
  // A key of the application's own contains what its responses depend on.
  if (target.key === undefined && hasClientFields(request.headers, vary)) return true
  if (distinguishesUsers(target, vary)) return false
  if (hasClientCertificate(request) || hasIdentity(request)) return true
  if (application !== request && hasIdentity(application)) return true
  return target.contexts?.some(isOfKnownUser) === true
}

/**
 * Returns whether the application distinguishes its users in the key: by its own `key`, or by a credential in a field
 * that `vary` names. If a request does not have that field, its user may be known by other means, which are not in the
 * key.
 */
export function distinguishesUsers(
  { key, request }: Pick<RequestTarget, 'key' | 'request'>,
  vary: readonly string[],
): boolean {
  if (key !== undefined) return true
  return vary.some((name) => (name === 'cookie' || isCredentialField(name)) && request.headers[name] !== undefined)
}

/**
 * Returns the fields of a request that are always in its key as text that differs if they differ; `undefined` if there
 * are none.
 */
function keyedText({ request: { headers }, trustsProxy }: RequestTarget): string | undefined {
  // A trusted proxy sets the addresses of clients, so that clients cannot forge them.
  const isTrusted = trustsProxy === true
  const found: [string, string][] = []
  for (const name of keyedFields(headers)) {
    if (isTrusted && isAddressField(name)) continue
    // Its host is the request's: `bypassReason` rejects any other.
    if (name === 'x-forwarded-host') continue
    const value = lineOf(headers, name) ?? ''
    const kept = name === 'forwarded' ? withoutParts(value, isTrusted ? NOT_IN_KEY_TRUSTED : NOT_IN_KEY) : value
    if (kept !== '') found.push([name, kept])
  }
  if (found.length === 0) return undefined
  return JSON.stringify(found.sort(([one], [other]) => compare(one, other)))
}

/**
 * Parts of `Forwarded` (RFC 7239) that are not in the key: the host is the request's, and the addresses may come from a
 * trusted proxy.
 */
const NOT_IN_KEY: ReadonlySet<string> = new Set(['host'])
const NOT_IN_KEY_TRUSTED: ReadonlySet<string> = new Set(['host', 'for', 'by'])

function withoutParts(value: string, left: ReadonlySet<string>): string {
  const parts = value.split(/[;,]/).map((part) => part.trim())
  return parts.filter((part) => part !== '' && !left.has(part.split('=', 1)[0]!.toLowerCase())).join(';')
}

/**
 * Returns why a request is not served from the cache and its response is not stored: the response may depend on a part
 * of the request that is not in the key. Returns `undefined` if the request can be served.
 */
export function bypassReason(
  { request, url }: RequestTarget,
  rules: KeyRules,
  { mayHaveBody }: { readonly mayHaveBody: boolean },
): string | undefined {
  const { headers } = request
  const host = hostOf(request)
  if (host === undefined || !url.startsWith('/')) return 'host'
  if (rules.hosts !== undefined && !rules.hosts.has(host)) return 'host'
  // HTTP/2 also has `:authority` for the host; a handler may read either field.
  if (headers.host !== undefined && headers.host !== sentHostOf(request)) return 'host'
  if (namesAnotherHost(request)) return 'forwarded-host'
  if (hasSeveralHosts(request)) return 'host'
  // No client sends a fragment, and parsers do not agree where such a query ends.
  if (url.includes('#')) return 'fragment'
  // The response may be an offer or a refusal of the other protocol. Some clients always offer HTTP/2.
  if (headers.upgrade !== undefined && headers.upgrade !== 'h2c') return 'upgrade'
  if (headers.cookie !== undefined && countsCookies(headers.cookie, rules.ignoreCookies)) return 'cookie'
  // This condition is for the origin only (RFC 9111, section 4.3.2).
  if (headers['if-match'] !== undefined || headers['if-unmodified-since'] !== undefined) return 'precondition'
  // A body may change the response to a GET, and is not in the key.
  if (!mayHaveBody && hasBody(request)) return 'body'
  // Ranges are of responses to GET (RFC 9110, section 14.2).
  if (request.method === 'QUERY' && headers.range !== undefined) return 'range'
  if (overridesMethod(headers)) return 'method-override'
  const { originalMethod } = request as { originalMethod?: unknown }
  return originalMethod !== undefined && originalMethod !== request.method ? 'method-override' : undefined
}

/** Returns whether `Host` was sent several times: Node shows the first one, and the handler may read another. */
function hasSeveralHosts({ rawHeaders }: IncomingMessage): boolean {
  let hosts = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts > 1
}

/** Returns whether a request has content, or may have it. */
export function hasBody(request: IncomingMessage): boolean {
  const { headers } = request
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0) return true
  // HTTP/2 needs no header field for content.
  const { stream } = request as { stream?: { endAfterHeaders?: boolean } }
  return stream?.endAfterHeaders === false
}

/** Returns whether a forwarding field names a host that is not in the key: the response may contain it in links. */
function namesAnotherHost(request: IncomingMessage): boolean {
  const { 'x-forwarded-host': hosts, forwarded } = request.headers
  if (hosts === undefined && forwarded === undefined) return false
  const named = [hosts ?? []].flatMap((lines) => lines).flatMap((line) => line.split(','))
  for (const [, quoted, token] of (forwarded ?? '').matchAll(/host=(?:"([^"]*)"|([^;,\s]*))/gi))
    named.push(quoted ?? token ?? '')
  const host = sentHostOf(request)
  return named.some((name) => name.trim() !== host)
}

function countsCookies(cookies: string, ignored: ReadonlySet<string> | true): boolean {
  if (ignored === true) return false
  return cookies.split(';').some((cookie) => !ignored.has(cookie.split('=', 1)[0]!.trim()))
}

/** Returns the full key of a request. */
export function requestKey(target: RequestTarget, rules: KeyRules, searchRule?: SearchRule): readonly string[] {
  const { request, url, scheme, scope, key, content } = target
  const searched = searchRule === undefined ? url : searchedUrl(url, searchRule)
  const path = key === undefined ? normalisedUrl(searched, rules) : `~${key}`
  const fields = keyedText(target)
  const rewritten = key === undefined ? rewrittenUrl(request, url) : undefined
  return [
    scheme,
    sentHostOf(request)!,
    ...(scope === undefined ? [] : [`=${scope}`]),
    ...(rewritten === undefined ? [] : [`>${rewritten}`]),
    ...(fields === undefined ? [] : [`^${createHash('sha256').update(fields).digest('base64url')}`]),
    ...(content === undefined ? [] : [`#${request.method} ${content}`]),
    // The same query may be reduced differently by another rule.
    ...(searchRule === undefined ? [] : [`?${JSON.stringify(searchRule)}`]),
    path,
  ]
}

/** Returns the URL that routes see, if middleware has rewritten it; `undefined` if it is the requested URL. */
function rewrittenUrl(request: IncomingMessage, url: string): string | undefined {
  const { baseUrl = '' } = request as { baseUrl?: string }
  const seen = `${baseUrl}${request.url}`
  if (seen === url) return undefined
  // A router sees a slash as the path of its mount point.
  return request.url!.startsWith('/') && `${baseUrl}${request.url!.slice(1)}` === url ? undefined : seen
}

/** Returns a URL without some of its query parameters. */
export function withoutParameters(url: string, ignored: ReadonlySet<string>): string {
  return normalisedUrl(url, { sortQuery: false, ignoreQuery: ignored })
}

function normalisedUrl(url: string, { sortQuery, ignoreQuery }: Pick<KeyRules, 'sortQuery' | 'ignoreQuery'>): string {
  const start = url.indexOf('?')
  if (start === -1 || (!sortQuery && ignoreQuery.size === 0) || !isSplitByAmpersand(url)) return url
  let parameters = url.slice(start + 1).split('&')
  if (ignoreQuery.size > 0) parameters = parameters.filter((parameter) => !ignoreQuery.has(parameterName(parameter)))
  // Sorted by name only, and stable: several values of one name are a list, whose order matters.
  if (sortQuery) parameters.sort((one, other) => compare(parameterName(one), parameterName(other)))
  return parameters.length === 0 ? url.slice(0, start) : `${url.slice(0, start)}?${parameters.join('&')}`
}

function compare(one: string, other: string): number {
  if (one === other) return 0
  return one < other ? -1 : 1
}

/** Methods whose responses are stored and reused: GET, HEAD, and QUERY, whose content is part of the key (RFC 10008). */
const READ_METHODS: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD', 'QUERY'])
/** Further safe methods (RFC 9110, section 9.2.1). */
const SAFE_METHODS: ReadonlySet<string | undefined> = new Set(['OPTIONS', 'TRACE', 'PROPFIND', 'REPORT', 'SEARCH'])

/** Returns whether requests of a method can be served from the cache. */
export function isReadMethod(method: string | undefined): boolean {
  return READ_METHODS.has(method)
}

/** Returns whether a method is safe, so that its requests invalidate nothing. */
export function isSafeMethod(method: string | undefined): boolean {
  return READ_METHODS.has(method) || SAFE_METHODS.has(method)
}
