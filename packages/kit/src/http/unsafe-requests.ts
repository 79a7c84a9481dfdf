import type { IncomingMessage } from 'node:http'
import { deferResponse } from '../deferred/deferred-response.ts'
import { makeHoldable } from '../deferred/method-output.ts'
import type { Memcache } from '../memcache.ts'
import { groupTags, urlTags } from './policy/response-tags.ts'
import { beforeHead, lineOf } from './fields.ts'
import type { Fields } from './fields.ts'
import { hostOf, pathOf } from './policy/request-key.ts'
import type { HttpExchange } from './response-lookup.ts'

/**
 * Invalidates stored responses when an unsafe request has succeeded: those of its URL, of `Location` and
 * `Content-Location` on the same host (RFC 9111, section 4.4), and of the groups in `Cache-Group-Invalidation` (RFC
 * 9875). The response is sent after that, so that a client that has received it never sees an older state. To the
 * application, the response looks sent as soon as it is written.
 *
 * @returns a function whose promise resolves when the invalidation that has begun until then has ended.
 */
export function invalidateOnSuccess(
  { request, response, url, defer }: HttpExchange,
  cache: () => Memcache,
): () => Promise<unknown> {
  let invalidated: Promise<unknown> = Promise.resolve()
  let hasBegun = false
  makeHoldable(response)
  beforeHead(response, (status, fields) => {
    if (hasBegun || status < 200 || status >= 400) return
    hasBegun = true
    // An invalidation that cannot be confirmed is repeated later, and delays no response.
    const invalidating = cache()
      .invalidateTags(changedTags(request, url, fields))
      .catch(() => false)
    invalidated = invalidating
    if (defer === undefined) deferResponse(response, invalidating, () => {})
    else defer(invalidating)
  })
  return () => invalidated
}

function changedTags(request: IncomingMessage, url: string, fields: Fields): string[] {
  const host = withoutPort(hostOf(request))
  const tags = new Set([...urlTags(url), ...groupTags(request, fields, 'cache-group-invalidation')])
  for (const name of ['location', 'content-location']) {
    const value = lineOf(fields, name)
    if (value === undefined || value === '') continue
    const target = resolveUrl(value, url)
    if (target !== undefined && (target.host === BASE_HOST || withoutPort(target.host) === host))
      for (const tag of urlTags(target.pathname)) tags.add(tag)
  }
  return [...tags]
}

/**
 * Returns a host without the default port of a scheme: a URL leaves out the port of its own scheme, and the scheme of a
 * request is not known behind a proxy.
 */
function withoutPort(host: string | undefined): string | undefined {
  return host?.replace(/:(?:80|443)$/, '')
}

/** A placeholder for the request's host, for URLs without a host. */
const BASE_HOST = 'same.invalid'

function resolveUrl(value: string, base: string): URL | undefined {
  try {
    // The base is built as text, so that a path that begins with two slashes does not name another host.
    return new URL(value, `http://${BASE_HOST}${pathOf(base)}`)
  } catch {
    return undefined
  }
}
