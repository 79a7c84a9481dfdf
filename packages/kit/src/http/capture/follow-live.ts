import { UNAVAILABLE } from '../../engine/engine.ts'
import type { Generations, StopSource } from '../../engine/engine.ts'
import { groupTags } from '../policy/response-tags.ts'
import { cacheStatusField } from '../cache-status.ts'
import { isNotModified } from '../policy/conditional.ts'
import type { LiveHead, LiveResponse, NotShared } from './live-response.ts'
import { forwardReason } from '../response-lookup.ts'
import type { ResponseLookup } from '../response-lookup.ts'
import { freshnessOf, remainingSeconds } from '../policy/freshness.ts'
import { isSameRule, searchRuleOf } from '../policy/no-vary-search.ts'
import { NO_DIRECTIVES } from '../policy/request-directives.ts'
import { reasonOf, sendBy, sentValidators, setStoredFields } from '../send-stored.ts'
import { variantOf } from '../policy/vary.ts'

/** A running handler call of this process that other requests may follow. */
export interface LiveRun {
  readonly response: LiveResponse
  /** The lookup of its request. */
  readonly lookup: ResponseLookup
  /** The generations of its tags when it began. */
  readonly generations: Generations
}

/** The result for a request that found a running handler call. */
export type Followed = 'sent' | NotShared

/**
 * Sends a request the response that another request's handler is writing: its head as soon as it is known, and each
 * part of the body as it is written.
 *
 * @param vary the request fields that are in every key.
 */
export async function followLive(
  lookup: ResponseLookup,
  run: LiveRun,
  { signal, vary, nowMs }: { signal: StopSource; vary: readonly string[]; nowMs: () => number },
): Promise<Followed> {
  const { response } = lookup.exchange
  const { tags, host } = lookup.engine
  host.report.stats.coalesced++
  const reading = tags.read(Object.keys(run.generations))
  const head = await run.response.head(signal)
  const current = await reading
  if (signal.aborted || response.destroyed || response.headersSent) return response.destroyed ? 'sent' : 'alone'
  if (typeof head === 'string') return head
  // A response that was invalidated after its handler began must not reach a client that sent its request after the
  // invalidation.
  if (current === UNAVAILABLE || !tags.areSame(run.generations, current)) return 'alone'
  if (!(await areGroupsUnchanged(run, head))) return 'alone'
  const names = head.names.filter((name) => !vary.includes(name))
  if (!isSameVariant(names, lookup, run.lookup)) return head.length === undefined ? 'alone' : 'retry'
  if (lookup.isAuthorized && !head.lifetimes.isShared) return 'alone'
  // The key was made by a rule that this response no longer has.
  if (lookup.searchRule !== undefined && !isSameRule(searchRuleOf(head.fields), lookup.searchRule)) return 'alone'
  if (freshnessOf(head, NO_DIRECTIVES, nowMs()) !== 'fresh') return 'alone'
  // The call may have failed or become too large meanwhile; from here to `follow` everything is synchronous.
  const still = run.response.now
  if (typeof still === 'string') return still
  sendHead(head, lookup, nowMs())
  if (isKnownTo(lookup, head)) {
    sendBy(response)(304, undefined)
    return 'sent'
  }
  if (head.length !== undefined) response.setHeader('Content-Length', String(head.length))
  response.writeHead(head.status, ...reasonOf(response, head.status, head.reason))
  run.response.follow(response)
  return 'sent'
}

/** Returns whether no group in the head was invalidated since the handler began. */
async function areGroupsUnchanged({ lookup }: LiveRun, head: LiveHead): Promise<boolean> {
  const { engine, exchange, startedMs } = lookup
  const groups = groupTags(exchange.request, head.fields, 'cache-groups')
  if (groups.length === 0) return true
  const keys = groups.map((group) => engine.tagKey(group))
  return engine.tags.areUnchangedSince(keys, startedMs)
}

/** Returns whether two requests have the same values of the fields that a response varies by. */
function isSameVariant(names: readonly string[], lookup: ResponseLookup, other: ResponseLookup): boolean {
  if (names.length === 0) return true
  const [own, others] = [lookup, other].map(({ exchange }) =>
    variantOf(names, exchange.request.headers, lookup.varyRules),
  )
  return own === others
}

/** Returns whether the client of a request already has the response. */
function isKnownTo({ exchange: { request, response } }: ResponseLookup, head: LiveHead): boolean {
  const { status, receivedMs } = head
  return isNotModified(request.headers, { status, fields: sentValidators(response, head), receivedMs })
}

function sendHead(head: LiveHead, lookup: ResponseLookup, nowMs: number): void {
  const cacheStatus = cacheStatusField({
    hit: false,
    forward: forwardReason(lookup, undefined),
    ttlSeconds: remainingSeconds(head, nowMs),
    collapsed: true,
  })
  setStoredFields(lookup.exchange.response, head, { isKnown: isKnownTo(lookup, head), cacheStatus, nowMs })
}
