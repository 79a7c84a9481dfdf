import { UNAVAILABLE } from '../../engine/engine.ts'
import type { Generations } from '../../engine/engine.ts'
import type { HandlerRun } from '../capture/handler-run.ts'
import { lineOf } from '../fields.ts'
import { freshSecondsLeft } from '../policy/freshness.ts'
import { CacheDirectives } from '../policy/cache-directives.ts'
import { CONDITIONAL_FIELDS } from '../policy/conditional.ts'
import { hostOf } from '../policy/request-key.ts'
import { urlTags } from '../policy/response-tags.ts'
import { KEPT_STALE_SECONDS } from '../response-cache-options.ts'
import type { ResponseLookup } from '../response-lookup.ts'
import { encodeRecord, packBody } from './stored-record.ts'
import type { FreshResponse } from './stored-record.ts'

/**
 * Returns whether the response to a POST can be stored for the GETs of its URL. If the client has set conditions, it
 * cannot, since they apply to the POST.
 */
export function isStorablePost({ exchange, isAuthorized }: ResponseLookup): boolean {
  const { headers } = exchange.request
  return exchange.key === undefined && !isAuthorized && CONDITIONAL_FIELDS.every((name) => headers[name] === undefined)
}

/**
 * Stores the response to a POST for the GETs of its URL, if it states its lifetime and its `Content-Location` is that
 * URL (RFC 9110, section 9.3.3). The POST itself raises the generations of the URL's tags, and the response is stored
 * with these. If other code has invalidated the tags since the handler began, it is not stored.
 *
 * @param before the generations of the tags before the handler began.
 * @param invalidated resolves when the POST has invalidated the stored responses of its URL.
 */
export async function storePosted(
  lookup: ResponseLookup,
  { run, before, invalidated }: { run: HandlerRun; before: Generations; invalidated: () => Promise<unknown> },
): Promise<void> {
  const fresh = await run.outcome
  if (!isForGet(fresh, lookup)) return
  await invalidated()
  const { engine, key, name, tagKeys, exchange } = lookup
  const now = await engine.tags.read(tagKeys)
  if (now === UNAVAILABLE) return
  const raised = urlTags(exchange.url).map((tag) => engine.tagKey(tag))
  if (!engine.tags.areInvalidatedOnce(before, now, raised)) return
  const { status, reason, fields, appended, removed, receivedMs, lifetimes } = fresh
  const packed = await packBody(fields, fresh.body)
  const head = { key, status, reason, fields, appended, removed, receivedMs, lifetimes }
  const value = encodeRecord({ kind: 'response', ...head, ...packed })
  await engine.set(name, {
    value,
    ttlSeconds: `${freshSecondsLeft(lifetimes) + KEPT_STALE_SECONDS}s`,
    tagKeys,
    generations: now,
  })
}

function isForGet({ status, fields, names, lifetimes }: FreshResponse, { exchange }: ResponseLookup): boolean {
  if (status !== 200 || names.length > 0 || freshSecondsLeft(lifetimes) === 0) return false
  const directives = CacheDirectives.of(lineOf(fields, 'cache-control'))
  if (!directives.has('max-age') && !directives.has('s-maxage') && fields['expires'] === undefined) return false
  const location = lineOf(fields, 'content-location')
  if (location === undefined) return false
  const base = `${exchange.scheme}://${hostOf(exchange.request)}`
  try {
    return new URL(location, base + exchange.url).href === new URL(base + exchange.url).href
  } catch {
    return false
  }
}
