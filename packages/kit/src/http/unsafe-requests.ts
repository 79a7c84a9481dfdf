import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Memcache } from '../memcache.ts'
import { lineOf } from './fields.ts'
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
  beforeHead(response, (status, fields) => {
    if (status >= 200 && status < 400) invalidating = cache().invalidateTags(changedTags(request, url, fields))
  })
  const { end } = response
  let hasEnded = false
  response.end = ((...args: unknown[]) => {
    const send = (): unknown => end.apply(response, args as unknown as Parameters<typeof end>)
    if (hasEnded) return send()
    hasEnded = true
    // The head is not known before it is written, and Node would write it with the end.
    if (!response.headersSent && invalidating === undefined) {
      const { statusCode: status } = response
      if (status >= 200 && status < 400) {
        const fields = Object.fromEntries(
          ['location', 'content-location'].map((name) => [name, String(response.getHeader(name) ?? '')]),
        )
        invalidating = cache().invalidateTags(changedTags(request, url, fields))
      }
    }
    if (invalidating === undefined) send()
    else void invalidating.then(send, send)
    return response
  }) as typeof end
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
