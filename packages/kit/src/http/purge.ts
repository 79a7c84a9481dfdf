import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import { pathOf } from './policy/request-key.ts'
import { routedPath, urlTags } from './policy/response-tags.ts'
import type { ResolvedResponseCache } from './response-cache-options.ts'

/** Directories deeper than this are purged together. */
const MAX_DIRECTORIES = 8

/**
 * Returns the tags of a path's directories, for caches with the option `wildcards`: `under:/` and `under:/cities/` for
 * `/cities`, since routers treat `/cities` and `/cities/` alike.
 */
export function directoryTags(url: string): string[] {
  const segments = routedSegments(pathOf(url))
  const tags: string[] = []
  let directory = '/'
  for (let depth = 0; ; depth++) {
    tags.push(`under:${directory}`)
    if (depth >= segments.length || depth >= MAX_DIRECTORIES) return tags
    directory += `${segments[depth]}/`
  }
}

/**
 * Returns the tags to invalidate for a pattern: a path, or a path with wildcards, which stands for everything under the
 * last directory before the first `*`.
 *
 * @throws MemcacheOptionError if the pattern is invalid, or has wildcards but the responses have no tags for them.
 */
export function tagsOfPattern(
  pattern: string,
  { hasWildcards }: Pick<ResolvedResponseCache, 'hasWildcards'>,
): string[] {
  if (typeof pattern !== 'string' || !pattern.startsWith('/') || /[?#]/.test(pattern))
    throw new MemcacheOptionError(
      `purge takes a path without a query, such as '/cities/42' or '/cities/*', got ${JSON.stringify(pattern)}`,
    )
  const star = pattern.indexOf('*')
  if (star === -1) return urlTags(pattern)
  if (!hasWildcards)
    throw new MemcacheOptionError(
      `purge('${pattern}') has a wildcard: set the option wildcards: true of the cache that stores the responses`,
    )
  const before = pattern.slice(0, star)
  return directoryTags(before.slice(0, before.lastIndexOf('/') + 1)).slice(-1)
}

function routedSegments(path: string): string[] {
  return routedPath(path)
    .split('/')
    .filter((segment) => segment !== '')
}

/**
 * Invalidates the stored responses of a path, or of a pattern such as `/cities/*`; resolves to whether memcached has
 * confirmed this.
 */
export type Purge = (pattern: string) => Promise<boolean>

/** Options of `purgeHandler`: requests need a token, or are allowed by a function. */
export interface PurgeHandlerOptions {
  /** The token that clients send as `Authorization: Bearer …`; at least 16 characters. */
  token?: string | undefined
  /** Returns whether a request may purge, as an alternative to the token. */
  authorize?: ((request: IncomingMessage) => boolean | Promise<boolean>) | undefined
}

const MIN_TOKEN_LENGTH = 16

/**
 * Returns a handler for `PURGE /cities/42` and `PURGE /cities/*`, for `node:http` or for `app.use` before the cache. It
 * responds with 200 if the invalidation was confirmed, 202 if memcached has not confirmed it yet, 400 to an invalid
 * pattern, and 401 without the token. Requests with other methods are passed on, or get 405 if there is no next
 * handler.
 *
 * @example
 *   const cached = cacheHandler(handler, { ttlSeconds: 60 })
 *   const purging = purgeHandler(cached.purge, { token: process.env.PURGE_TOKEN })
 *   createServer((request, response) => purging(request, response, () => cached(request, response)))
 *
 * @param purge the method `purge` of the handler or middleware that caches the responses.
 * @throws MemcacheOptionError if an option is unknown or invalid, or both `token` and `authorize` are missing.
 */
export function purgeHandler(
  purge: Purge,
  options: PurgeHandlerOptions,
): (request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void) => void {
  checkOptions('purgeHandler', options, { names: ['token', 'authorize'], hints: { secret: 'token', key: 'token' } })
  const { token, authorize } = options
  if (token === undefined && authorize === undefined)
    throw new MemcacheOptionError(
      'purgeHandler needs the option token or the option authorize: without them, every client could purge responses',
    )
  if (token !== undefined && (typeof token !== 'string' || token.length < MIN_TOKEN_LENGTH || /\s/.test(token)))
    throw new MemcacheOptionError(
      `token must have at least ${MIN_TOKEN_LENGTH} characters and no spaces: generate one by openssl rand -hex 32`,
    )
  const isAllowed = async (request: IncomingMessage): Promise<boolean> =>
    (token !== undefined && isBearer(request.headers.authorization, token)) || (await authorize?.(request)) === true

  return (request, response, next) => {
    if (!isPurge(request)) {
      if (next !== undefined) return next()
      return send(response, { error: 'PURGE only' }, { status: 405, headers: { Allow: 'PURGE' } })
    }
    const { originalUrl } = request as { originalUrl?: string }
    respond(originalUrl ?? request.url!).catch((error: unknown) => {
      if (error instanceof MemcacheOptionError) send(response, { error: error.message }, { status: 400 })
      else if (next === undefined) send(response, { error: 'purge failed' }, { status: 500 })
      else next(error)
    })

    async function respond(url: string): Promise<void> {
      if (!(await isAllowed(request))) {
        return send(response, { error: 'not allowed' }, { status: 401, headers: { 'WWW-Authenticate': 'Bearer' } })
      }
      const pattern = pathOf(url)
      const isConfirmed = await purge(pattern)
      send(response, { purged: pattern }, { status: isConfirmed ? 200 : 202 })
    }
  }
}

/**
 * Returns whether a request was sent as PURGE. A POST that middleware turns into a PURGE, by a field or by `_method` of
 * a form, does not count: it can come from a page of another site, with the cookies of its visitor.
 */
function isPurge(request: IncomingMessage): boolean {
  const { method, originalMethod = method } = request as { method?: string; originalMethod?: unknown }
  return method === 'PURGE' && originalMethod === 'PURGE'
}

function isBearer(field: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(field ?? '')?.[1]
  if (given === undefined) return false
  const [one, other] = [given, token].map((text) => createHash('sha256').update(text).digest())
  return timingSafeEqual(one!, other!)
}

interface JsonHead {
  readonly status: number
  readonly headers?: Record<string, string>
}

function send(response: ServerResponse, body: object, { status, headers = {} }: JsonHead): void {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers })
  response.end(JSON.stringify(body))
}
