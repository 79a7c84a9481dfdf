import type { IncomingMessage, ServerResponse } from 'node:http'
import { engineOf, ownKeyText, resolveLoading, UNAVAILABLE } from '../engine/engine.ts'
import type { CacheEngine, Freshness, LedLoad, LoadContext, ResolvedLoading } from '../engine/engine.ts'
import { getDefaultMemcache } from '../default-memcache.ts'
import type { Memcache } from '../memcache.ts'
import { groupTags } from './policy/cache-groups.ts'
import { cacheStatusField } from './cache-status.ts'
import type { CacheStatus, ForwardReason } from './cache-status.ts'
import { lineOf } from './fields.ts'
import { followLive } from './capture/follow-live.ts'
import { HandlerRun, UnstoredError } from './capture/handler-run.ts'
import { relay } from './capture/relay.ts'
import type { ClientOutput } from './capture/response-capture.ts'
import { backgroundExchange } from './background-request.ts'
import { CallsUnderWay, PASS_SECONDS } from './calls-under-way.ts'
import {
  authorizedName,
  forwardReason,
  hasRangeOf,
  isSendable,
  isValidatorFor,
  mayLoad,
  purposeOf,
  staleOf,
  validatorOf,
  variantKey,
  variantLookup,
} from './response-lookup.ts'
import type { HttpExchange, ResponseLookup } from './response-lookup.ts'
import { ResponseStore } from './records/response-store.ts'
import { NO_DIRECTIVES, requestDirectives } from './policy/request-directives.ts'
import { bypassReason, isIdentified, requestKey, tellsUsersApart } from './policy/request-key.ts'
import { KEPT_STALE_SECONDS, resolveResponseCache } from './response-cache-options.ts'
import type { ResolvedResponseCache, ResponseCacheOptions } from './response-cache-options.ts'
import { beforeHead } from './capture/response-head-hook.ts'
import { freshnessOf, isGoodOnError, isReusable, remainingSeconds } from './policy/freshness.ts'
import { needsBody, sendBy, sendStored } from './send-stored.ts'
import { decodeRecord, unpackBody } from './records/stored-record.ts'
import type { StoredPartial, StoredRecord, StoredResponse, StoredVariants } from './records/stored-record.ts'
import { directoryTags, tagsOfPattern } from './purge.ts'
import { isStorablePost, storePosted } from './records/posted-response.ts'
import { UnpackedBodies } from './records/unpacked-bodies.ts'
import { SearchRules } from './records/search-rules.ts'
import { invalidateOnSuccess } from './unsafe-requests.ts'
import { preferredLanguage } from './policy/preferences.ts'
import { isSameRule, searchRuleOf } from './policy/no-vary-search.ts'
import type { SearchRule } from './policy/no-vary-search.ts'
import { urlTags } from './policy/url-tags.ts'
import { variantOf } from './policy/vary.ts'
import { Waiting } from './waiting.ts'

/** What was found for a lookup, and whether it is what another request's handler has just given. */
interface Found {
  readonly record: StoredRecord | undefined
  readonly isJoined: boolean
  /** What is stored, and could not be served. */
  readonly old: StoredResponse | undefined
}

/** Methods that change nothing, besides GET and HEAD (RFC 9110, section 9.2.1; RFC 10008). */
const SAFE_METHODS: ReadonlySet<string> = new Set(['OPTIONS', 'TRACE', 'QUERY', 'PROPFIND', 'REPORT', 'SEARCH'])
/** How often a request waits again after an answer that was broken off. */
const MAX_ATTEMPTS = 3
/** How long a handler may take to revalidate in the background. */
const MAX_IN_BACKGROUND_MS = 30_000

/** Runs whose responses are being captured, by their requests: a response cache inside another must not wait for itself. */
const capturing = new WeakMap<IncomingMessage, HandlerRun>()

/**
 * A shared HTTP cache (RFC 9111) in front of handlers, on `node:http`: below Express, below Nest on Express or Fastify.
 *
 *   not a GET, a cookie, another host … ──────────→ the handler (fwd=method, fwd=bypass)
 *   stored, fresh, or stale and allowed ──────────→ served; stale: one process revalidates in the background
 *   stale, asked for anew ────┐
 *   nothing stored ───────────┴ leader ───────────→ the handler, whose response is captured and stored
 *                             └ others wait for it → served, or, if it cannot be shared, the handler for each
 */
export class ResponseCache {
  readonly #options: ResponseCacheOptions
  readonly #resolved: ResolvedResponseCache
  readonly #loading: ResolvedLoading
  /** Background requests that are given to the handler as if there were no cache. */
  readonly #uncached = new WeakSet<IncomingMessage>()

  /** Runs in the background, by their requests. */
  readonly #background = new WeakMap<IncomingMessage, { readonly run: HandlerRun; readonly lookup: ResponseLookup }>()
  readonly #nameOf = (key: string): string => engineOf(this.cache).storedKey(key)
  readonly #nowMs = (): number => this.cache.clock.nowMs()
  readonly #calls = new CallsUnderWay(this.#nowMs)
  readonly #store: ResponseStore
  readonly #searchRules: SearchRules
  readonly #bodies = new UnpackedBodies()

  /** @throws MemcacheOptionError for a value that cannot be. */
  constructor(options: ResponseCacheOptions) {
    this.#options = options
    this.#resolved = resolveResponseCache(options)
    this.#searchRules = new SearchRules(() => engineOf(this.cache), this.#nowMs)
    this.#store = new ResponseStore(this.#resolved.vary, this.#nameOf, this.#nowMs)
    // How long a handler may take is the application's.
    const loading = resolveLoading({ jitter: 0, l1: false, hardTimeoutMs: Infinity }, PASS_SECONDS)
    this.#loading = { ...loading, staleSeconds: KEPT_STALE_SECONDS }
  }

  /** The cache that responses lie in. */
  get cache(): Memcache {
    return this.#options.cache ?? getDefaultMemcache()
  }

  /** Whether the cache itself made this request, to revalidate what clients are served stale. Pass it to `answer` whatever else holds of it. */
  isBackground(request: IncomingMessage): boolean {
    return this.#background.has(request) || this.#uncached.has(request)
  }

  /**
   * Answers a request from the cache. `true`: the response was sent. `false`: the handler is to answer, now, on the same response, which
   * is looked on.
   */
  async answer(exchange: HttpExchange): Promise<boolean> {
    const { request, response, url } = exchange
    const inBackground = this.#background.get(request)
    if (inBackground !== undefined) return this.#leadInBackground(exchange, inBackground)
    if (this.#uncached.has(request)) return forward(response, { hit: false, forward: 'bypass' })
    if (request.method !== 'GET' && request.method !== 'HEAD') return this.#forwardOther(exchange)
    const { rules, honoursRequests } = this.#resolved
    const reason = bypassReason(exchange, rules)
    if (reason !== undefined) return forward(response, { hit: false, forward: 'bypass', detail: reason })
    const directives = requestDirectives(request.headers, honoursRequests)
    if (directives.noStore) return forward(response, { hit: false, forward: 'request' })
    // Only a query can have parts that make no difference.
    const hasQuery = exchange.key === undefined && url.includes('?')
    const searchRule = hasQuery ? await this.#searchRules.of(exchange) : undefined
    const key = ownKeyText('http', this.#keyParts(exchange, searchRule))
    const outer = capturing.get(request)
    if (outer?.adopt(key, this.#resolved, exchange.tags ?? []) === true) return false
    const engine = engineOf(this.cache)
    return this.#answerFrom(engine, this.#lookupOf(engine, exchange, { key, searchRule, directives }))
  }

  #lookupOf(
    engine: CacheEngine,
    exchange: HttpExchange,
    { key, searchRule, directives }: Pick<ResponseLookup, 'key' | 'searchRule' | 'directives'>,
  ): ResponseLookup {
    return {
      exchange,
      key,
      name: this.#nameOf(key),
      variants: undefined,
      directives,
      purpose: purposeOf(exchange.request),
      varyRules: this.#resolved.varyRules,
      searchRule,
      isAuthorized: isIdentified(exchange, this.#resolved.vary),
      startedMs: performance.now(),
      tagKeys: this.#tagsOf(exchange).map((tag) => engine.tagKey(tag)),
    }
  }

  /**
   * Makes what is stored of a path invalid, or of a pattern as `/cities/*`: of everything under the last directory before the first `*`. Resolves to whether that is
   * confirmed.
   * @throws MemcacheOptionError if it is no path, or a pattern without the option `wildcards`.
   */
  // A property, so that it can be handed on by itself.
  readonly purge = async (pattern: string): Promise<boolean> =>
    this.cache.invalidateTags(tagsOfPattern(pattern, this.#resolved.hasWildcards))

  #tagsOf({ url, tags = [] }: HttpExchange): string[] {
    const directories = this.#resolved.hasWildcards ? directoryTags(url) : []
    return [...new Set([...urlTags(url), ...directories, ...tags])]
  }

  async #answerFrom(engine: CacheEngine, lookup: ResponseLookup): Promise<boolean> {
    const { request, response } = lookup.exchange
    const { headers } = request
    const onlyLooks = request.method === 'HEAD' || headers.range !== undefined || lookup.directives.onlyIfCached
    if (!onlyLooks && !lookup.isAuthorized) return this.#share(engine, lookup)
    const { record: found, lookup: selected } = await this.#look(engine, lookup)
    const freshness = found === undefined ? 'unusable' : this.#freshnessFor(found, selected)
    if (isSendable(found) && (freshness === 'fresh' || (freshness === 'stale' && onlyLooks))) {
      return this.#send(engine, selected, found, undefined)
    }
    if (lookup.directives.onlyIfCached) {
      response.setHeader('Cache-Status', cacheStatusField({ hit: false, detail: 'only-if-cached' }))
      sendBy(response)(504, undefined)
      return true
    }
    const isOthers = found?.kind === 'pass' || (isSendable(found) && !found.lifetimes.isShared)
    if (lookup.isAuthorized && (isOthers || this.#calls.isAlone(authorizedName(lookup)))) {
      return forward(response, { hit: false, forward: 'bypass', detail: 'credentials' })
    }
    if (onlyLooks && !mayLoad(lookup, found)) {
      return forward(response, { hit: false, forward: forwardReason(selected, found) })
    }
    return this.#share(engine, lookup)
  }

  /** Answers by what one handler call gives for all that ask at once. */
  async #share(engine: CacheEngine, lookup: ResponseLookup): Promise<boolean> {
    const { response } = lookup.exchange
    const waiting = new Waiting(response)
    // A response to a range, or to a HEAD, is of no use to most others.
    let waits = lookup.purpose === 'whole' && this.#calls.isShared(lookup.name)
    let old: StoredResponse | undefined
    try {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const live = waits ? this.#calls.live(lookup.name) : undefined
        const { signal } = waiting
        const followed =
          live === undefined
            ? 'retry'
            : await followLive(engine, lookup, live, { signal, vary: this.#resolved.vary, nowMs: this.#nowMs })
        if (followed === 'sent') return true
        if (followed === 'alone') break
        const result = await this.#readThrough(engine, lookup, waits, waiting.signal)
        if (result === 'leading') return false
        if (waiting.isGone) return true
        if (result === 'aborted') {
          if (!waiting.signal.aborted) continue
          // It has waited as long as it may: those after it need not.
          this.#calls.leaveAlone(lookup.name)
          break
        }
        const { record, isJoined } = result
        const reason = forwardReason(lookup, result.old)
        old = result.old
        if (record === undefined) break
        if (record.kind === 'variants') {
          const selected = variantLookup(lookup, record, this.#nameOf)
          const inLanguage = await this.#findByLanguage(engine, lookup, record)
          if (inLanguage !== undefined) return await this.#send(engine, selected, inLanguage, undefined)
          return await this.#share(engine, selected)
        }
        if (record.kind === 'pass') {
          // Not waiting, it may still be the one whose answer is stored.
          if (!waits) break
          this.#calls.leaveAlone(lookup.name)
          if (isJoined) break
          waits = false
          continue
        }
        if (record.kind === 'partial' && this.#freshnessFor(record, lookup) !== 'fresh') {
          // It was loaded for another's range, and may be completed now.
          if (!waits) break
          continue
        }
        if (isJoined) {
          // What another request's handler has just given is not reused where it would not be a moment later.
          const freshness = this.#freshnessFor(record, { ...lookup, directives: NO_DIRECTIVES })
          if (record.kind === 'response' && isValidatorFor(record, lookup)) old = record
          if (freshness === 'unusable') break
          if (freshness === 'stale') continue
        }
        // Who came when the answer was whole has not waited for it, just for its being stored.
        const isCollapsed = isJoined && this.#calls.hasWaited(lookup.name, lookup.startedMs)
        return await this.#send(engine, lookup, record, isCollapsed ? reason : undefined)
      }
    } finally {
      waiting.end()
    }
    if (old === undefined || lookup.purpose !== 'whole')
      return forward(response, { hit: false, forward: forwardReason(lookup, old) })
    // For this client alone, but as one that revalidates what is stored.
    return this.#lead(lookup.exchange, this.#runOf(lookup, await unpacked(old), { stores: false }))
  }

  #lead(exchange: HttpExchange, run: HandlerRun): false {
    const { request, response, application, isOutside } = exchange
    capturing.set(request, run)
    run.begin({ request, response, application, isOutside, isAuthorized: isIdentified(exchange, this.#resolved.vary) })
    return false
  }

  /** A background request has no credentials. If its key differs without them, its response is not the one that is revalidated. */
  #leadInBackground(
    exchange: HttpExchange,
    { run, lookup }: { readonly run: HandlerRun; readonly lookup: ResponseLookup },
  ): boolean {
    if (ownKeyText('http', this.#keyParts(exchange, lookup.searchRule)) === run.key) return this.#lead(exchange, run)
    exchange.response.destroy()
    return true
  }

  /** What there is for a lookup: stored, or just given to another; `leading`: this request's handler is to be run. */
  async #readThrough(
    engine: CacheEngine,
    lookup: ResponseLookup,
    waits: boolean,
    signal: AbortSignal,
  ): Promise<Found | 'leading' | 'aborted'> {
    const { name, key, tagKeys, directives } = lookup
    const answer = await engine.share({
      name,
      required: [],
      tagKeys,
      staleSeconds: KEPT_STALE_SECONDS,
      l1: false,
      loading: this.#loading,
      signal,
      waits,
      freshnessOf: (value) => {
        const record = decodeRecord(value, key)
        const isOfUse = record !== undefined && (waits || record.kind !== 'pass')
        return isOfUse ? this.#freshnessFor(record, lookup) : 'unusable'
      },
      reload: (context) => this.#reload(engine, lookup, context),
    })
    switch (answer.kind) {
      case 'hit':
        return { record: decodeRecord(answer.value, key), isJoined: false, old: undefined }
      case 'joined':
        return { record: decodeRecord(answer.value, key), isJoined: true, old: validatorOf(answer.unusable, lookup) }
      case 'lead':
        return this.#leadShared(engine, lookup, answer.load, signal)
      case 'failed': {
        const { error, unusable } = answer
        if (signal.aborted) return { record: undefined, isJoined: true, old: validatorOf(unusable, lookup) }
        if (!(error instanceof UnstoredError)) throw error
        if (error.reason === 'aborted') return 'aborted'
        const { stale } = error
        const isGood = stale !== undefined && isGoodOnError(stale, directives, this.#nowMs())
        return { record: isGood ? stale : undefined, isJoined: false, old: undefined }
      }
    }
  }

  /** Runs this request's handler for all that ask for the same. */
  async #leadShared(
    engine: CacheEngine,
    lookup: ResponseLookup,
    load: LedLoad,
    signal: AbortSignal,
  ): Promise<Found | 'leading'> {
    const { context, generations } = load
    try {
      const stale = await unpacked(staleOf(context, lookup))
      if (signal.aborted) {
        // The request has been given to its handler already.
        load.end(Promise.reject(new UnstoredError('aborted', 'its client has left')))
        return { record: undefined, isJoined: true, old: undefined }
      }
      const run = this.#runOf(lookup, stale)
      this.#lead(lookup.exchange, run)
      if (lookup.purpose !== 'whole') this.#calls.setAside(lookup.name, run)
      else if (generations !== undefined) this.#calls.offer({ response: run.live, lookup, generations }, run)
      load.end(this.#keep(engine, lookup, run, context))
      return 'leading'
    } catch (error) {
      load.end(Promise.reject(error))
      throw error
    }
  }

  #runOf(
    lookup: ResponseLookup,
    old: StoredResponse | StoredPartial | undefined,
    { stores = true, forward = forwardReason(lookup, old) }: { stores?: boolean; forward?: ForwardReason } = {},
  ): HandlerRun {
    const { defaultSeconds, staleSeconds, targetedFields, maxBytes, rules, vary } = this.#resolved
    return new HandlerRun({
      key: lookup.variants?.key ?? lookup.key,
      defaultSeconds,
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

  /** Runs the handler while others are served the stale response. */
  async #reload(engine: CacheEngine, lookup: ResponseLookup, context: LoadContext): Promise<Buffer> {
    const { exchange, variants } = lookup
    const keyed = [...this.#resolved.vary, ...(variants?.names ?? [])]
    const { request, response } = backgroundExchange(exchange.request, exchange.url, keyed)
    const run = this.#runOf({ ...lookup, purpose: 'whole' }, await unpacked(staleOf(context, lookup)))
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
      if (!isSameRule(told, lookup.searchRule) && lookup.exchange.key === undefined) {
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

  #freshnessFor(record: StoredRecord, { directives, isAuthorized, purpose, exchange }: ResponseLookup): Freshness {
    const nowMs = this.#nowMs()
    if (record.kind === 'variants') return 'fresh'
    if (record.kind === 'pass') return nowMs < record.untilMs ? 'fresh' : 'unusable'
    if (isAuthorized && !record.lifetimes.isShared) return 'unusable'
    const freshness = freshnessOf(record, directives, nowMs)
    if (record.kind === 'partial') {
      const isOfUse = purpose === 'range' && freshness === 'fresh' && hasRangeOf(exchange, record)
      return isOfUse ? 'fresh' : 'unusable'
    }
    return freshness === 'fresh' || freshness === 'stale' ? freshness : 'unusable'
  }

  /** What is stored for a lookup; takes no lease. */
  async #look(
    engine: CacheEngine,
    lookup: ResponseLookup,
  ): Promise<{ readonly record: StoredRecord | undefined; readonly lookup: ResponseLookup }> {
    const record = decodeRecord(await engine.get(lookup.name, [], { pastEnd: true }), lookup.key)
    if (record?.kind === 'variants') return this.#look(engine, variantLookup(lookup, record, this.#nameOf))
    return { record, lookup }
  }

  /** A fresh response in the language that the client prefers to all others; takes no lease. */
  async #findByLanguage(
    engine: CacheEngine,
    lookup: ResponseLookup,
    list: StoredVariants,
  ): Promise<StoredResponse | undefined> {
    const { languages } = this.#resolved.varyRules
    if (languages === undefined || !list.names.includes('accept-language')) return undefined
    const language = preferredLanguage(lineOf(lookup.exchange.request.headers, 'accept-language'))
    if (language === undefined || !languages.includes(language)) return undefined
    const key = variantKey(lookup, list, language)
    const record = decodeRecord(await engine.get(this.#nameOf(key), []), key)
    return record?.kind === 'response' && this.#freshnessFor(record, lookup) === 'fresh' ? record : undefined
  }

  async #send(
    engine: CacheEngine,
    lookup: ResponseLookup,
    stored: StoredResponse | StoredPartial,
    waitedFor: ForwardReason | undefined,
  ): Promise<boolean> {
    const { request, response } = lookup.exchange
    const isHead = request.method === 'HEAD'
    const isBodySent = needsBody(response, stored, request.headers, isHead)
    const body = isBodySent ? await this.#bodies.unpack(lookup.name, stored) : undefined
    if (isBodySent && body === undefined) {
      // What cannot be unpacked is a miss, and makes room for a response that can.
      await engine.delete(lookup.name)
      return forward(response, { hit: false, forward: forwardReason(lookup, undefined) })
    }
    if (response.headersSent || response.destroyed) return true
    const nowMs = this.#nowMs()
    const ttlSeconds = remainingSeconds(stored, nowMs)
    const status: CacheStatus =
      waitedFor === undefined
        ? { hit: true, ttlSeconds }
        : { hit: false, forward: waitedFor, ttlSeconds, collapsed: true }
    const { headers } = request
    const cacheStatus = cacheStatusField(status)
    sendStored(response, stored, body, {
      headers,
      isHead,
      cacheStatus,
      nowMs,
      send: sendBy(response),
    })
    return true
  }

  /** Gives a client whose stored part could not be completed all of the response, by a request of its own. */
  #loadUncached({ exchange }: ResponseLookup, client: ClientOutput): void {
    const { request, response } = backgroundExchange(exchange.request, exchange.url, this.#resolved.vary)
    this.#uncached.add(request)
    relay(response, client)
    exchange.dispatch(request, response)
  }

  async #forwardOther(exchange: HttpExchange): Promise<boolean> {
    const { request, response } = exchange
    const isSafe = request.method !== undefined && SAFE_METHODS.has(request.method)
    if (request.method === 'POST' && this.#resolved.storesPost && (await this.#leadPost(exchange))) return false
    if (!isSafe) invalidateOnSuccess(exchange, () => this.cache)
    return forward(response, { hit: false, forward: 'method' })
  }

  /** Runs the handler of a POST whose response may answer later GETs; whether it may. */
  async #leadPost(exchange: HttpExchange): Promise<boolean> {
    if (bypassReason(exchange, this.#resolved.rules, true) !== undefined) return false
    const engine = engineOf(this.cache)
    const searchRule = exchange.url.includes('?') ? await this.#searchRules.of(exchange) : undefined
    const key = ownKeyText('http', this.#keyParts(exchange, searchRule))
    const lookup = this.#lookupOf(engine, exchange, { key, searchRule, directives: NO_DIRECTIVES })
    if (!isStorablePost(lookup)) return false
    const before = await engine.tags.read(lookup.tagKeys)
    if (before === UNAVAILABLE) return false
    const invalidated = invalidateOnSuccess(exchange, () => this.cache)
    const run = this.#runOf({ ...lookup, purpose: 'whole' }, undefined, { forward: 'method' })
    this.#lead(exchange, run)
    // What is refused, or cannot be stored, is the client's alone.
    storePosted(engine, lookup, { run, before, invalidated }).catch(() => {})
    return true
  }

  #keyParts(exchange: HttpExchange, searchRule: SearchRule | undefined): readonly string[] {
    const { vary, varyRules, rules } = this.#resolved
    const parts = requestKey(exchange, rules, searchRule)
    return vary.length === 0 ? parts : [...parts, variantOf(vary, exchange.request.headers, varyRules)]
  }
}

/** A stored response that a handler may say is still right, with its body at hand; `undefined` where that cannot be unpacked. */
async function unpacked<Stored extends StoredResponse | StoredPartial>(
  stored: Stored | undefined,
): Promise<Stored | undefined> {
  const body = stored === undefined ? undefined : await unpackBody(stored)
  return stored === undefined || body === undefined ? undefined : { ...stored, compression: 'none', body }
}

/** Lets the handler answer for this client alone. */
function forward(response: ServerResponse, status: CacheStatus): false {
  beforeHead(response, (_, fields) => {
    response.setHeader('Cache-Status', cacheStatusField(status, lineOf(fields, 'cache-status')))
  })
  return false
}
