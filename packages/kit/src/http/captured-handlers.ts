import type { IncomingMessage } from 'node:http'
import { unrefTimer } from 'memcache-ts-protocol'
import type { LedLoad, LoadContext, StopSource } from '../engine/engine.ts'
import { backgroundExchange } from './background-request.ts'
import type { CallsUnderWay } from './calls-under-way.ts'
import { PASS_SECONDS } from './calls-under-way.ts'
import type { ForwardReason } from './cache-status.ts'
import { HandlerRun, UnstoredError } from './capture/handler-run.ts'
import { relay } from './capture/relay.ts'
import type { ClientOutput } from './capture/response-capture.ts'
import { groupTags } from './policy/response-tags.ts'
import { isReusable } from './policy/freshness.ts'
import type { ResponseClock } from './policy/freshness.ts'
import { isSameRule, searchRuleOf } from './policy/no-vary-search.ts'
import type { WatchScope } from './policy/identity-watch.ts'
import { isIdentified, distinguishesUsers } from './policy/request-key.ts'
import { ResponseStore } from './records/response-store.ts'
import type { DecodedRecords } from './records/decoded-records.ts'
import type { SearchRules } from './records/search-rules.ts'
import { unpackBody } from './records/stored-record.ts'
import type { StoredPartial, StoredResponse } from './records/stored-record.ts'
import type { ResolvedResponseCache } from './response-cache-options.ts'
import { authorizedName, forwardReason, responseKey, staleOf } from './response-lookup.ts'
import type { HttpExchange, ResponseLookup } from './response-lookup.ts'

/** How long a handler may take for a background revalidation. */
const MAX_IN_BACKGROUND_MS = 30_000

/**
 * The runs whose responses are being captured, by their requests, so that a response cache inside another one does not
 * wait for itself.
 */
const capturing = new WeakMap<IncomingMessage, HandlerRun>()

/** Returns the run of an outer response cache that captures the response to this request. */
export function capturingRun(request: IncomingMessage): HandlerRun | undefined {
  return capturing.get(request)
}

interface BackgroundRun {
  readonly run: HandlerRun
  readonly lookup: ResponseLookup
}

/** The parts of a response cache that its captured handlers use. */
export interface CapturedHandlersParts {
  readonly resolved: ResolvedResponseCache
  readonly calls: CallsUnderWay
  readonly searchRules: SearchRules
  readonly records: DecodedRecords
  readonly clock: ResponseClock
}

/**
 * Runs handlers for a response cache, for their clients and in the background, and stores the responses that may be
 * stored.
 */
export class CapturedHandlers {
  readonly #resolved: ResolvedResponseCache
  readonly #calls: CallsUnderWay
  readonly #searchRules: SearchRules
  readonly #records: DecodedRecords
  readonly #store: ResponseStore
  readonly #clock: ResponseClock
  /** Background requests that go to the handler as if there were no cache. */
  readonly #uncached = new WeakSet<IncomingMessage>()
  /** Runs in the background, by their requests. */
  readonly #background = new WeakMap<IncomingMessage, BackgroundRun>()

  constructor({ resolved, calls, searchRules, records, clock }: CapturedHandlersParts) {
    this.#resolved = resolved
    this.#calls = calls
    this.#searchRules = searchRules
    this.#records = records
    this.#store = new ResponseStore(resolved.vary, clock.nowMs)
    this.#clock = clock
  }

  /** Returns whether this cache made the request, to revalidate a stored response or to load a whole response. */
  isBackground(request: IncomingMessage): boolean {
    return this.#background.has(request) || this.#uncached.has(request)
  }

  /** Returns whether this cache made the request, and its response is for one client only. */
  isUncached(request: IncomingMessage): boolean {
    return this.#uncached.has(request)
  }

  /** Returns the run that a background request was made for; `undefined` for other requests. */
  backgroundRun(request: IncomingMessage): BackgroundRun | undefined {
    return this.#background.get(request)
  }

  /** Lets the handler respond to a request, and captures its response. */
  lead(exchange: HttpExchange, run: HandlerRun): false {
    const { request, response, application, contexts, isOutside } = exchange
    const isAuthorized = isIdentified(exchange, this.#resolved.vary)
    capturing.set(request, run)
    run.begin({ request, response, application, contexts, isOutside, isAuthorized })
    return false
  }

  /**
   * Lets the handler respond to a background request. It has no credentials: if its key differs without them, its
   * response is not the one that is revalidated.
   */
  leadInBackground(exchange: HttpExchange, { run, lookup }: BackgroundRun): boolean {
    const { content } = lookup.exchange
    if (responseKey({ ...exchange, content }, this.#resolved, lookup.searchRule) === run.key)
      return this.lead(exchange, run)
    exchange.response.destroy()
    return true
  }

  /**
   * Runs this request's handler for all requests of the same key. Resolves to `false`, without running the handler, if
   * the request has stopped waiting: its client has disconnected, or its time limit has passed.
   */
  async leadShared(lookup: ResponseLookup, load: LedLoad, signal: StopSource): Promise<boolean> {
    const { context, generations } = load
    try {
      const stale = await unpacked(staleOf(this.#records, context, lookup))
      if (signal.aborted) {
        // The request is passed to its handler without the lease, or has no client any more.
        load.end(Promise.reject(new UnstoredError('aborted', 'its request has stopped waiting')))
        return false
      }
      const run = this.runOf(lookup, stale, { hasLease: generations !== undefined })
      this.lead(lookup.exchange, run)
      if (lookup.purpose !== 'whole') this.#calls.setAside(lookup.name, run)
      else if (generations !== undefined) this.#calls.offer({ response: run.live, lookup, generations }, run)
      load.end(this.#keep(lookup, run, context))
      return true
    } catch (error) {
      load.end(Promise.reject(error))
      throw error
    }
  }

  /** Runs the handler for one client only, as a revalidation of the stored response. */
  async leadAlone(lookup: ResponseLookup, old: StoredResponse): Promise<false> {
    return this.lead(lookup.exchange, this.runOf(lookup, await unpacked(old), { stores: false }))
  }

  /** Returns a run of the handler for a lookup, which revalidates or completes the stored response. */
  runOf(
    lookup: ResponseLookup,
    old: StoredResponse | StoredPartial | undefined,
    {
      stores = true,
      hasLease = true,
      forward = forwardReason(lookup, old),
    }: { stores?: boolean; hasLease?: boolean; forward?: ForwardReason } = {},
  ): HandlerRun {
    const { defaultSeconds, staleSeconds, targetedFields, maxBytes, rules, vary } = this.#resolved
    return new HandlerRun({
      key: lookup.variants?.key ?? lookup.key,
      defaultSeconds,
      allowsHeuristics: lookup.content === undefined,
      staleSeconds,
      targetedFields,
      maxBytes,
      purpose: lookup.purpose,
      stale: old?.kind === 'response' ? old : undefined,
      partial: old?.kind === 'partial' ? old : undefined,
      onIncomplete: (client) => this.#loadUncached(lookup, client),
      stores,
      hasLease,
      directives: lookup.directives,
      forward,
      varyRules: lookup.varyRules,
      hidesCookies: rules.ignoreCookies === true || rules.ignoreCookies.size > 0,
      hiddenParameters: rules.ignoreQuery,
      watch: distinguishesUsers(lookup.exchange, vary) ? 'nothing' : this.#watchScope(lookup),
      clock: this.#clock,
    })
  }

  /** Middleware before the cache may have derived anything from cookies of any name. */
  #watchScope({ exchange }: ResponseLookup): WatchScope {
    const { cookie } = exchange.request.headers
    return cookie !== undefined && this.#resolved.rules.ignoreCookies === true ? 'properties' : 'identity'
  }

  /** Runs the handler in the background, while clients are served the stale response. */
  async reload(lookup: ResponseLookup, context: LoadContext): Promise<Buffer> {
    const { exchange, variants, content } = lookup
    const keyed = [...this.#resolved.vary, ...(variants?.names ?? [])]
    const { request, response } = backgroundExchange(exchange.request, exchange.url, { keyed, content: content?.bytes })
    const run = this.runOf({ ...lookup, purpose: 'whole' }, await unpacked(staleOf(this.#records, context, lookup)))
    this.#background.set(request, { run, lookup })
    // The application may respond before the request reaches this cache: then nothing is stored.
    response.once('close', () => run.onAbort())
    // A time limit is needed, since no client can disconnect and no other request revalidates until this one ends.
    const limit = unrefTimer(setTimeout(() => response.destroy(), MAX_IN_BACKGROUND_MS))
    response.once('close', () => clearTimeout(limit))
    exchange.dispatch(request, response)
    return this.#keep(lookup, run, context)
  }

  /**
   * Waits for a handler's response; returns the record to store, and sets its lifetime and tags.
   *
   * @throws UnstoredError if the response must not be stored.
   */
  async #keep(lookup: ResponseLookup, run: HandlerRun, context: LoadContext): Promise<Buffer> {
    try {
      const fresh = await run.outcome
      this.#calls.ended(lookup.name, { isReusable: isReusable(fresh.lifetimes) })
      const groups = groupTags(lookup.exchange.request, fresh.fields, 'cache-groups')
      const named = [...run.adoptedTags, ...groups]
      if (named.length > 0) context.setTags(named)
      const rule = searchRuleOf(fresh.fields)
      const hasRule = lookup.exchange.key === undefined && lookup.content === undefined
      if (hasRule && !isSameRule(rule, lookup.searchRule)) {
        await this.#searchRules.learn(lookup.exchange, rule, lookup.tagKeys)
        // The key was made by another rule: other requests with this key may need another response.
        if (lookup.searchRule !== undefined) return this.#store.pass(lookup, context, 1)
      }
      return await this.#store.response(lookup, fresh, context)
    } catch (error) {
      if (!(error instanceof UnstoredError) || error.reason !== 'refused') throw error
      // A refused range or HEAD says nothing about the whole response.
      if (lookup.purpose !== 'whole') throw new UnstoredError('aborted', error.message)
      if (lookup.isAuthorized) {
        // Other clients may get a response that this client's credentials forbid to share.
        this.#calls.leaveAlone(authorizedName(lookup))
        throw error
      }
      return this.#store.pass(lookup, context, PASS_SECONDS)
    }
  }

  /** Sends the whole response, by a separate request, to a client whose stored part could not be completed. */
  #loadUncached({ exchange }: ResponseLookup, client: ClientOutput): void {
    const { request, response } = backgroundExchange(exchange.request, exchange.url, { keyed: this.#resolved.vary })
    this.#uncached.add(request)
    relay(response, client)
    exchange.dispatch(request, response)
  }
}

/** Returns a stored response that a handler may revalidate, with its body decompressed; `undefined` if that fails. */
async function unpacked<Stored extends StoredResponse | StoredPartial>(
  stored: Stored | undefined,
): Promise<Stored | undefined> {
  const body = stored === undefined ? undefined : await unpackBody(stored)
  return stored === undefined || body === undefined ? undefined : { ...stored, compression: 'none', body }
}
