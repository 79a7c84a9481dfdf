import type { IncomingMessage } from 'node:http'
import type { CacheEngine, LedLoad, LoadContext, StopSource } from '../engine/engine.ts'
import { backgroundExchange } from './background-request.ts'
import type { CallsUnderWay } from './calls-under-way.ts'
import { PASS_SECONDS } from './calls-under-way.ts'
import type { ForwardReason } from './cache-status.ts'
import { HandlerRun, UnstoredError } from './capture/handler-run.ts'
import { relay } from './capture/relay.ts'
import type { ClientOutput } from './capture/response-capture.ts'
import { groupTags } from './policy/cache-groups.ts'
import { isReusable } from './policy/freshness.ts'
import { isSameRule, searchRuleOf } from './policy/no-vary-search.ts'
import { isIdentified, tellsUsersApart } from './policy/request-key.ts'
import { ResponseStore } from './records/response-store.ts'
import type { DecodedRecords } from './records/decoded-records.ts'
import type { SearchRules } from './records/search-rules.ts'
import { unpackBody } from './records/stored-record.ts'
import type { StoredPartial, StoredResponse } from './records/stored-record.ts'
import type { ResolvedResponseCache } from './response-cache-options.ts'
import { authorizedName, forwardReason, responseKey, staleOf } from './response-lookup.ts'
import type { HttpExchange, ResponseLookup } from './response-lookup.ts'

/** How long a handler may take to revalidate in the background. */
const MAX_IN_BACKGROUND_MS = 30_000

/** Runs whose responses are being captured, by their requests: a response cache inside another must not wait for itself. */
const capturing = new WeakMap<IncomingMessage, HandlerRun>()

/** The run of a response cache further out that captures the response to this request. */
export function capturingRun(request: IncomingMessage): HandlerRun | undefined {
  return capturing.get(request)
}

interface BackgroundRun {
  readonly run: HandlerRun
  readonly lookup: ResponseLookup
}

/** What one response cache hands to its captured handlers. */
export interface CapturedHandlersParts {
  readonly resolved: ResolvedResponseCache
  readonly calls: CallsUnderWay
  readonly searchRules: SearchRules
  readonly records: DecodedRecords
  readonly nowMs: () => number
}

/**
 * Runs handlers for a response cache, in front of their clients and in the background, and stores the responses that
 * may be stored.
 */
export class CapturedHandlers {
  readonly #resolved: ResolvedResponseCache
  readonly #calls: CallsUnderWay
  readonly #searchRules: SearchRules
  readonly #records: DecodedRecords
  readonly #store: ResponseStore
  readonly #nowMs: () => number
  /** Background requests that are given to the handler as if there were no cache. */
  readonly #uncached = new WeakSet<IncomingMessage>()
  /** Runs in the background, by their requests. */
  readonly #background = new WeakMap<IncomingMessage, BackgroundRun>()

  constructor({ resolved, calls, searchRules, records, nowMs }: CapturedHandlersParts) {
    this.#resolved = resolved
    this.#calls = calls
    this.#searchRules = searchRules
    this.#records = records
    this.#store = new ResponseStore(resolved.vary, nowMs)
    this.#nowMs = nowMs
  }

  /** Whether this request was made here, to revalidate what is stored or to load a response whole. */
  isBackground(request: IncomingMessage): boolean {
    return this.#background.has(request) || this.#uncached.has(request)
  }

  /** Whether this request was made here, and its response is for one client alone. */
  isUncached(request: IncomingMessage): boolean {
    return this.#uncached.has(request)
  }

  /** The run that a background request was made for. */
  backgroundRun(request: IncomingMessage): BackgroundRun | undefined {
    return this.#background.get(request)
  }

  /** Lets the handler answer a request, and captures its response. */
  lead(exchange: HttpExchange, run: HandlerRun): false {
    const { request, response, application, isOutside } = exchange
    capturing.set(request, run)
    run.begin({ request, response, application, isOutside, isAuthorized: isIdentified(exchange, this.#resolved.vary) })
    return false
  }

  /**
   * Lets the handler answer a background request. It has no credentials: if its key differs without them, its response
   * is not the one that is revalidated.
   */
  leadInBackground(exchange: HttpExchange, { run, lookup }: BackgroundRun): boolean {
    const { content } = lookup.exchange
    if (responseKey({ ...exchange, content }, this.#resolved, lookup.searchRule) === run.key)
      return this.lead(exchange, run)
    exchange.response.destroy()
    return true
  }

  /**
   * Runs this request's handler for all that ask for the same; whether it runs, which it does not if its client has
   * left.
   */
  async leadShared(engine: CacheEngine, lookup: ResponseLookup, load: LedLoad, signal: StopSource): Promise<boolean> {
    const { context, generations } = load
    try {
      const stale = await unpacked(staleOf(this.#records, context, lookup))
      if (signal.aborted) {
        // The request has been given to its handler already.
        load.end(Promise.reject(new UnstoredError('aborted', 'its client has left')))
        return false
      }
      const run = this.runOf(lookup, stale)
      this.lead(lookup.exchange, run)
      if (lookup.purpose !== 'whole') this.#calls.setAside(lookup.name, run)
      else if (generations !== undefined) this.#calls.offer({ response: run.live, lookup, generations }, run)
      load.end(this.#keep(engine, lookup, run, context))
      return true
    } catch (error) {
      load.end(Promise.reject(error))
      throw error
    }
  }

  /** Runs the handler for one client alone, but as a request that revalidates what is stored. */
  async leadAlone(lookup: ResponseLookup, old: StoredResponse): Promise<false> {
    return this.lead(lookup.exchange, this.runOf(lookup, await unpacked(old), { stores: false }))
  }

  /** A run of the handler for a lookup, which revalidates or completes what is stored. */
  runOf(
    lookup: ResponseLookup,
    old: StoredResponse | StoredPartial | undefined,
    { stores = true, forward = forwardReason(lookup, old) }: { stores?: boolean; forward?: ForwardReason } = {},
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
      directives: lookup.directives,
      forward,
      varyRules: lookup.varyRules,
      hidesCookies: rules.ignoreCookies === true || rules.ignoreCookies.size > 0,
      hiddenParameters: rules.ignoreQuery,
      watchesIdentity: !tellsUsersApart(lookup.exchange, vary),
      nowMs: this.#nowMs,
    })
  }

  /** Runs the handler in the background, while others are served the stale response. */
  async reload(engine: CacheEngine, lookup: ResponseLookup, context: LoadContext): Promise<Buffer> {
    const { exchange, variants, content } = lookup
    const keyed = [...this.#resolved.vary, ...(variants?.names ?? [])]
    const { request, response } = backgroundExchange(exchange.request, exchange.url, { keyed, content: content?.bytes })
    const run = this.runOf({ ...lookup, purpose: 'whole' }, await unpacked(staleOf(this.#records, context, lookup)))
    this.#background.set(request, { run, lookup })
    // The application may answer before it comes here: then there is nothing to keep.
    response.once('close', () => run.onAbort())
    // Nobody waits for it who could leave, and until it is over nobody else revalidates.
    const limit = setTimeout(() => response.destroy(), MAX_IN_BACKGROUND_MS).unref()
    response.once('close', () => clearTimeout(limit))
    exchange.dispatch(request, response)
    return this.#keep(engine, lookup, run, context)
  }

  /** What is stored of a handler's answer, and for how long. @throws UnstoredError for what must not last. */
  async #keep(engine: CacheEngine, lookup: ResponseLookup, run: HandlerRun, context: LoadContext): Promise<Buffer> {
    try {
      const fresh = await run.outcome
      this.#calls.ended(lookup.name, { isReusable: isReusable(fresh.lifetimes) })
      const groups = groupTags(lookup.exchange.request, fresh.fields, 'cache-groups')
      const named = [...run.adoptedTags, ...groups]
      if (named.length > 0) context.setTags(named)
      const told = searchRuleOf(fresh.fields)
      const hasRule = lookup.exchange.key === undefined && lookup.content === undefined
      if (hasRule && !isSameRule(told, lookup.searchRule)) {
        await this.#searchRules.learn(lookup.exchange, told, lookup.tagKeys)
        // The key was made by another rule: others who have it may want another response.
        if (lookup.searchRule !== undefined) return this.#store.pass(lookup, context, 1)
      }
      return await this.#store.response(engine, lookup, fresh, context)
    } catch (error) {
      if (!(error instanceof UnstoredError) || error.reason !== 'refused') throw error
      // It says nothing of the response to others, who find out for themselves.
      if (lookup.purpose !== 'whole') throw new UnstoredError('aborted', error.message)
      if (lookup.isAuthorized) {
        // Others may be given what this client's credentials forbid to share.
        this.#calls.leaveAlone(authorizedName(lookup))
        throw error
      }
      return this.#store.pass(lookup, context, PASS_SECONDS)
    }
  }

  /** Gives a client whose stored part could not be completed all of the response, by a request of its own. */
  #loadUncached({ exchange }: ResponseLookup, client: ClientOutput): void {
    const { request, response } = backgroundExchange(exchange.request, exchange.url, { keyed: this.#resolved.vary })
    this.#uncached.add(request)
    relay(response, client)
    exchange.dispatch(request, response)
  }
}

/**
 * A stored response that a handler may say is still right, with its body at hand; `undefined` where that cannot be
 * unpacked.
 */
async function unpacked<Stored extends StoredResponse | StoredPartial>(
  stored: Stored | undefined,
): Promise<Stored | undefined> {
  const body = stored === undefined ? undefined : await unpackBody(stored)
  return stored === undefined || body === undefined ? undefined : { ...stored, compression: 'none', body }
}
