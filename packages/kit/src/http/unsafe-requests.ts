import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Memcache } from '../memcache.ts'
import { lineOf, toFields } from './fields.ts'
import type { Fields } from './fields.ts'
import { hostOf, pathOf } from './request-key.ts'
import { beforeHead } from './response-head-hook.ts'

/** The tag that all responses to a path have, whatever their host and query. */
export function urlTag(url: string): string {
  return `url:${pathOf(url)}`
}

/**
 * When a request that changes something has succeeded, what is stored of its URL, and of those that `Location` and `Content-Location`
 * name on the same host, is invalid (RFC 9111, section 4.4). The end of the response waits for that, so that who has seen it never sees
 * what was before.
 */
export function invalidateOnSuccess(
  request: IncomingMessage,
  response: ServerResponse,
  url: string,
  cache: () => Memcache,
): void {
  let invalidating: Promise<unknown> | undefined
  const succeeded = (status: number, fields: Fields): void => {
    if (status < 200 || status >= 400) return
    invalidating ??= cache().invalidateTags(changedTags(request, url, fields))
  }
  beforeHead(response, succeeded)
  const end = Reflect.get(response, 'end') as (...args: unknown[]) => ServerResponse
  let hasEnded = false
  response.end = (...args: unknown[]) => {
    if (hasEnded) return end.apply(response, args)
    hasEnded = true
    // The head that Node writes with the end would come too late.
    if (!response.headersSent) succeeded(response.statusCode, toFields(response.getHeaders()))
    if (invalidating === undefined) return end.apply(response, args)
    const send = (): unknown => end.apply(response, args)
    void invalidating.then(send, send)
    return response
  }
}

function changedTags(request: IncomingMessage, url: string, fields: Fields): string[] {
  const host = hostOf(request)
  const tags = new Set([urlTag(url)])
  for (const name of ['location', 'content-location']) {
    const value = lineOf(fields, name)
    if (value === undefined || value === '') continue
    const target = resolveUrl(value, url)
    if (target !== undefined && (target.host === BASE_HOST || target.host === host)) tags.add(`url:${target.pathname}`)
  }
  return [...tags]
}

/** Stands for the request's host where a URL has none. */
const BASE_HOST = 'same.invalid'

function resolveUrl(value: string, base: string): URL | undefined {
  try {
    return new URL(value, new URL(base, `http://${BASE_HOST}`))
  } catch {
    return undefined
  }
}
