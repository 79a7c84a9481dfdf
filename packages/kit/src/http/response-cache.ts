import type { IncomingMessage, ServerResponse } from 'node:http'
import { engineOf, resolveLoading, UNAVAILABLE } from '../engine/engine.ts'
import type { CacheEngine, ResolvedLoading, StopSource } from '../engine/engine.ts'
import { getDefaultMemcache } from '../default-memcache.ts'
import type { Memcache } from '../memcache.ts'
import { cacheStatusField } from './cache-status.ts'
import type { CacheStatus, ForwardReason } from './cache-status.ts'
import { contentKey, contentOf } from './content/content-key.ts'
import { MAX_CONTENT_BYTES } from './content/request-content.ts'
import type { KnownContent } from './content/request-content.ts'
import { beforeHead, lineOf } from './fields.ts'
import { CapturedHandlers, capturingRun } from './captured-handlers.ts'
import { followLive } from './capture/follow-live.ts'
import { UnstoredError } from './capture/handler-run.ts'
import { CallsUnderWay, PASS_SECONDS, Waiting } from './calls-under-way.ts'
import {
  authorizedName,
  findByLanguage,
  findStored,
  forwardReason,
  freshnessFor,
  isSendable,
  isValidatorFor,
  mayLoad,
  purposeOf,
  responseKey,
  validatorOf,
  variantLookup,
} from './response-lookup.ts'
import type { HttpExchange, ResponseLookup } from './response-lookup.ts'
import { bypassReason, isIdentified, isReadMethod, isSafeMethod, pathOf } from './policy/request-key.ts'
import { NO_DIRECTIVES, requestDirectives } from './policy/request-directives.ts'
import type { RequestDirectives } from './policy/request-directives.ts'
import { KEPT_STALE_SECONDS, resolveResponseCache } from './response-cache-options.ts'
import type { ResolvedResponseCache, ResponseCacheOptions } from './response-cache-options.ts'
import { earliestMs, isGoodOnError, remainingSeconds, ResponseClock } from './policy/freshness.ts'
import { needsBody, sendBy, sendStored } from './send-stored.ts'
import { DecodedRecords } from './records/decoded-records.ts'
import type { StoredPartial, StoredRecord, StoredResponse } from './records/stored-record.ts'
import { directoryTags, tagsOfPattern } from './purge.ts'
import { isStorablePost, storePosted } from './records/posted-response.ts'
import { urlTags } from './policy/response-tags.ts'
import { SearchRules } from './records/search-rules.ts'
import { invalidateOnSuccess } from './unsafe-requests.ts'

/** The response that was found for a lookup, and whether another request's handler has just returned it. */
interface Found {
  readonly record: StoredRecord | undefined
  readonly isJoined: boolean
  /** The stored response that could not be served. */
  readonly old: StoredResponse | undefined
}

/** A body that is being decompressed, and why its request was forwarded, if it was. */
interface Unpacking {
  readonly unpacking: Promise<Buffer | undefined> | undefined
  readonly waitedFor: ForwardReason | undefined
}

/** How often a request waits again after a response that was not completed. */
const MAX_ATTEMPTS = 3

/**
 * A shared HTTP cache (RFC 9111) in front of handlers. It works on requests and responses of `node:http`, below
 * Express, Nest, Fastify and other frameworks.
 *
 * ```text
 * another method, a cookie, another host … ─────→ the handler (fwd=method, fwd=bypass)
 * stored, fresh, or stale and allowed ──────────→ served; stale: one process revalidates in the background
 * stale, revalidate first ──┐
 * nothing stored ───────────┴ leader ───────────→ the handler, whose response is captured and stored
 *                           └ others wait for it → served, or, if it cannot be shared, the handler for each
 * ```
 *
 * @example
 *   const responses = new ResponseCache({ ttlSeconds: 60 })
 *   if (!(await responses.answer(exchange))) handler(exchange.request, exchange.response)
 */
export class ResponseCache {
  readonly #options: ResponseCacheOptions
  readonly #resolved: ResolvedResponseCache
  readonly #loading: ResolvedLoading
  readonly #clock = new ResponseClock(() => this.cache.clock.nowMs())
  readonly #nowMs = this.#clock.nowMs
  readonly #calls = new CallsUnderWay(this.#nowMs)
  readonly #handlers: CapturedHandlers
  readonly #searchRules: SearchRules
  readonly #records: DecodedRecords

  /** @throws MemcacheOptionError if an option is unknown or invalid. */
  constructor(options: ResponseCacheOptions) {
    this.#options = options
    this.#resolved = resolveResponseCache(options)
    this.#records = new DecodedRecords(this.#resolved.maxBytes, this.#clock)
    this.#searchRules = new SearchRules(() => engineOf(this.cache), this.#nowMs)
    this.#handlers = new CapturedHandlers({
      resolved: this.#resolved,
      calls: this.#calls,
      searchRules: this.#searchRules,
      records: this.#records,
      clock: this.#clock,
    })
    // The application decides how long a handler may take.
    const loading = resolveLoading({ jitter: 0, l1: false, hardTimeoutMs: Infinity }, PASS_SECONDS)
    this.#loading = { ...loading, staleSeconds: KEPT_STALE_SECONDS }
  }

  /** The cache that stores the responses. */
  get cache(): Memcache {
    return this.#options.cache ?? getDefaultMemcache()
  }

  /**
   * Returns whether the cache itself made this request, to revalidate a stale response. Always pass such a request to
   * `answer`.
   */
  isBackground(request: IncomingMessage): boolean {
    return this.#handlers.isBackground(request)
  }

  /**
   * Serves a request from the cache. Resolves to `true` if the response was sent; a response in memory is sent before
   * `answer` returns. If it resolves to `false`, call the handler now; its response is being captured.
   */
  async answer(exchange: HttpExchange): Promise<boolean> {
    return this.#answer(exchange)
  }

  /**
   * Serves a request from the cache, or calls the handler in a later tick. A hit in memory creates no promise.
   *
   * @param handle calls the handler. Its errors are not caught.
   * @param failed is called with an error of the cache.
   */
  answerThen(exchange: HttpExchange, handle: () => void, failed: (error: unknown) => void): void {
    let answered: boolean | Promise<boolean>
    try {
      answered = this.#answer(exchange)
    } catch (error) {
      failed(error)
      return
    }
    if (answered === true) return
    // Called outside of the promise, so that errors of the handler do not reject it.
    if (answered === false) process.nextTick(handle)
    else answered.then((isAnswered) => void (isAnswered || process.nextTick(handle)), failed)
  }

  #answer(exchange: HttpExchange): boolean | Promise<boolean> {
    const { request, response } = exchange
    if (exchange.fault !== undefined) return this.#stepAside(exchange)
    const inBackground = this.#handlers.backgroundRun(request)
    if (inBackground !== undefined) return this.#handlers.leadInBackground(exchange, inBackground)
    if (this.#handlers.isUncached(request)) return forward(response, { hit: false, forward: 'bypass' })
    if (!isReadMethod(request.method)) return this.#forwardOther(exchange)
    const { rules, honoursRequests } = this.#resolved
    const isQuery = request.method === 'QUERY'
    const reason = bypassReason(exchange, rules, { mayHaveBody: isQuery })
    if (reason !== undefined) return forward(response, { hit: false, forward: 'bypass', detail: reason })
    const directives = honoursRequests ? requestDirectives(request.headers) : NO_DIRECTIVES
    if (directives.noStore) return forward(response, { hit: false, forward: 'request' })
    return isQuery ? this.#answerQuery(exchange, directives) : this.#answerRead(exchange, directives)
  }

  /**
   * Lets the handler respond to a request for which a function of the application has failed, and stores nothing. A
   * background request has no client to respond to.
   */
  #stepAside({ request, response, url, fault }: HttpExchange): boolean {
    engineOf(this.cache).host.report.unstorable(`the response to ${request.method} ${pathOf(url)}`, fault)
    if (this.#handlers.backgroundRun(request) !== undefined) {
      response.destroy()
      return true
    }
    capturingRun(request)?.refuse('the options of a cache within failed for it')
    return forward(response, { hit: false, forward: 'bypass', detail: 'options' })
  }

  /** Serves a QUERY, whose content is part of the key (RFC 10008). */
  async #answerQuery(exchange: HttpExchange, directives: RequestDirectives): Promise<boolean> {
    const { request, response, readContent } = exchange
    const maxBytes = Math.min(MAX_CONTENT_BYTES, this.#resolved.maxBytes)
    const content = await (readContent?.(maxBytes) ?? contentOf(exchange, response, maxBytes))
    switch (content.kind) {
      case 'gone':
        response.destroy()
        return true
      case 'unknown':
        return forward(response, { hit: false, forward: 'bypass', detail: content.reason })
      default:
        return this.#answerRead({ ...exchange, content: contentKey(request, content) }, directives, content)
    }
  }

  #answerRead(
    exchange: HttpExchange,
    directives: RequestDirectives,
    content?: KnownContent,
  ): boolean | Promise<boolean> {
    // Only the query of a URL can have parts that do not matter.
    const hasQuery = exchange.key === undefined && content === undefined && exchange.url.includes('?')
    if (hasQuery) return this.#answerSearch(exchange, directives)
    return this.#answerByKey(exchange, { directives, content, searchRule: undefined })
  }

  async #answerSearch(exchange: HttpExchange, directives: RequestDirectives): Promise<boolean> {
    const searchRule = await this.#searchRules.of(exchange)
    return this.#answerByKey(exchange, { directives, content: undefined, searchRule })
  }

  #answerByKey(
    exchange: HttpExchange,
    known: Pick<ResponseLookup, 'searchRule' | 'directives' | 'content'>,
  ): boolean | Promise<boolean> {
    const key = responseKey(exchange, this.#resolved, known.searchRule)
    if (capturingRun(exchange.request)?.adopt(key, this.#resolved, exchange.tags ?? []) === true) return false
    const engine = engineOf(this.cache)
    const lookup = this.#lookupOf(engine, exchange, { key, ...known })
    const remembered = this.#resolved.usesMemory ? this.#fromMemory(lookup) : undefined
    if (remembered !== undefined) return this.#send(remembered.lookup, remembered.record, undefined)
    return this.#answerFrom(lookup)
  }

  #lookupOf(
    engine: CacheEngine,
    exchange: HttpExchange,
    { key, searchRule, directives, content }: Pick<ResponseLookup, 'key' | 'searchRule' | 'directives' | 'content'>,
  ): ResponseLookup {
    return {
      engine,
      exchange,
      key,
      name: engine.storedKey(key),
      variants: undefined,
      content,
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
   * Invalidates the stored responses of a path, or of a pattern such as `/cities/*`: everything under the last
   * directory before the first `*`. Resolves to whether memcached has confirmed this.
   *
   * @throws MemcacheOptionError if `pattern` is not a path, or has a wildcard without the option `wildcards`.
   */
  // A property, so that it can be passed as a function.
  readonly purge = async (pattern: string): Promise<boolean> =>
    this.cache.invalidateTags(tagsOfPattern(pattern, this.#resolved))

  #tagsOf({ url, tags = [] }: HttpExchange): string[] {
    const directories = this.#resolved.hasWildcards ? directoryTags(url) : []
    return [...new Set([...urlTags(url), ...directories, ...tags])]
  }

  async #answerFrom(lookup: ResponseLookup): Promise<boolean> {
    const { request, response } = lookup.exchange
    const { headers } = request
    const onlyLooks = request.method === 'HEAD' || headers.range !== undefined || lookup.directives.onlyIfCached
    if (!onlyLooks && !lookup.isAuthorized) return this.#share(lookup)
    const { record: found, lookup: selected } = await findStored(this.#records, lookup)
    const freshness = found === undefined ? 'unusable' : freshnessFor(found, selected, this.#nowMs())
    if (isSendable(found) && (freshness === 'fresh' || (freshness === 'stale' && onlyLooks))) {
      return this.#send(selected, found, undefined)
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
    return this.#share(lookup)
  }

  /** Returns a fresh response from memory. */
  #fromMemory(
    lookup: ResponseLookup,
  ): { readonly record: StoredResponse | StoredPartial; readonly lookup: ResponseLookup } | undefined {
    const value = lookup.engine.readThrough.peekMemory(lookup.name)
    const record = value === undefined ? undefined : this.#records.decode(value, lookup.key)
    if (record?.kind === 'variants' && lookup.variants === undefined)
      return this.#fromMemory(variantLookup(lookup, record))
    if (!isSendable(record) || freshnessFor(record, lookup, this.#nowMs()) !== 'fresh') return undefined
    return { record, lookup }
  }

  /** Serves concurrent requests from one handler call. */
  async #share(lookup: ResponseLookup): Promise<boolean> {
    const { response } = lookup.exchange
    const waiting = new Waiting(response)
    // Most other requests cannot use a response to a range or to a HEAD.
    let waits = lookup.purpose === 'whole' && this.#calls.isShared(lookup.name)
    let old: StoredResponse | undefined
    try {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const live = waits ? this.#calls.live(lookup.name) : undefined
        const followed =
          live === undefined
            ? 'retry'
            : await followLive(lookup, live, { signal: waiting, vary: this.#resolved.vary, nowMs: this.#nowMs })
        if (followed === 'sent') return true
        if (followed === 'alone') break
        const result = await this.#readThrough(lookup, { waits, signal: waiting })
        if (result === 'leading') return false
        if (waiting.isGone) return true
        if (result === 'aborted') {
          if (!waiting.aborted) continue
          // This request has waited as long as it may; later requests need not wait.
          this.#calls.leaveAlone(lookup.name)
          break
        }
        const { record, isJoined } = result
        const reason = forwardReason(lookup, result.old)
        old = result.old
        if (record === undefined) break
        if (record.kind === 'variants') {
          const selected = variantLookup(lookup, record)
          const inLanguage = await findByLanguage(lookup, {
            records: this.#records,
            list: record,
            nowMs: this.#nowMs(),
          })
          if (inLanguage !== undefined) return await this.#send(selected, inLanguage, undefined)
          return await this.#share(selected)
        }
        if (record.kind === 'pass') {
          // Without waiting, this request's response may still be the one that is stored.
          if (!waits) break
          this.#calls.leaveAlone(lookup.name)
          if (isJoined) break
          waits = false
          continue
        }
        if (record.kind === 'partial' && freshnessFor(record, lookup, this.#nowMs()) !== 'fresh') {
          // The part was loaded for another request's range, and may be completed now.
          if (!waits) break
          continue
        }
        if (isJoined) {
          // A response that another request's handler has just returned is not reused if it could not be reused later.
          const freshness = freshnessFor(record, { ...lookup, directives: NO_DIRECTIVES }, this.#nowMs())
          if (record.kind === 'response' && isValidatorFor(record, lookup)) old = record
          if (freshness === 'unusable') break
          if (freshness === 'stale') continue
        }
        // A request that came after the response was complete has only waited until it was stored.
        const isCollapsed = isJoined && this.#calls.hasWaited(lookup.name, lookup.startedMs)
        return await this.#send(lookup, record, isCollapsed ? reason : undefined)
      }
    } finally {
      waiting.end()
    }
    if (old === undefined || lookup.purpose !== 'whole')
      return forward(response, { hit: false, forward: forwardReason(lookup, old) })
    return this.#handlers.leadAlone(lookup, old)
  }

  /**
   * Returns the response for a lookup, stored or just returned to another request; `leading` means that this request's
   * handler must be run.
   */
  async #readThrough(
    lookup: ResponseLookup,
    { waits, signal }: { readonly waits: boolean; readonly signal: StopSource },
  ): Promise<Found | 'leading' | 'aborted'> {
    const { engine, name, key, tagKeys, directives } = lookup
    const outcome = await engine.share({
      name,
      required: [],
      tagKeys,
      staleSeconds: KEPT_STALE_SECONDS,
      l1: this.#resolved.usesMemory,
      loading: this.#loading,
      signal,
      waits,
      freshnessOf: (value, ttlSeconds) => {
        const record = this.#records.decode(value, key)
        if (isSendable(record)) this.#clock.reach(earliestMs(record, ttlSeconds))
        const isOfUse = record !== undefined && (waits || record.kind !== 'pass')
        return isOfUse ? freshnessFor(record, lookup, this.#nowMs()) : 'unusable'
      },
      reload: (context) => this.#handlers.reload(lookup, context),
    })
    switch (outcome.kind) {
      case 'hit':
        return { record: this.#records.decode(outcome.value, key), isJoined: false, old: undefined }
      case 'joined':
        return {
          record: this.#records.decode(outcome.value, key),
          isJoined: true,
          old: validatorOf(this.#records, outcome.unusable, lookup),
        }
      case 'lead':
        if (await this.#handlers.leadShared(lookup, outcome.load, signal)) return 'leading'
        return { record: undefined, isJoined: true, old: undefined }
      case 'failed': {
        const { error, unusable } = outcome
        if (signal.aborted)
          return { record: undefined, isJoined: true, old: validatorOf(this.#records, unusable, lookup) }
        if (!(error instanceof UnstoredError)) throw error
        if (error.reason === 'aborted') return 'aborted'
        const { stale } = error
        const isGood = stale !== undefined && isGoodOnError(stale, directives, this.#nowMs())
        return { record: isGood ? stale : undefined, isJoined: false, old: undefined }
      }
    }
  }

  /** @param waitedFor why the request was forwarded, if it has waited for another one's response. */
  #send(
    lookup: ResponseLookup,
    stored: StoredResponse | StoredPartial,
    waitedFor: ForwardReason | undefined,
  ): boolean | Promise<boolean> {
    const { exchange } = lookup
    if (!needsBody(exchange, stored)) return this.#sendBody(exchange, stored, { body: undefined, waitedFor })
    const body = this.#records.unpack(stored)
    if (Buffer.isBuffer(body)) return this.#sendBody(exchange, stored, { body, waitedFor })
    return this.#sendUnpacked(lookup, stored, { unpacking: body, waitedFor })
  }

  async #sendUnpacked(
    { engine, name, exchange, variants }: ResponseLookup,
    stored: StoredResponse | StoredPartial,
    { unpacking, waitedFor }: Unpacking,
  ): Promise<boolean> {
    const body = await unpacking
    if (body !== undefined) return this.#sendBody(exchange, stored, { body, waitedFor })
    // A response that cannot be decompressed is a miss, and is replaced.
    await engine.delete(name)
    return forward(exchange.response, { hit: false, forward: forwardReason({ variants }, undefined) })
  }

  #sendBody(
    { request, response }: HttpExchange,
    stored: StoredResponse | StoredPartial,
    { body, waitedFor }: { body: Buffer | undefined; waitedFor: ForwardReason | undefined },
  ): true {
    if (response.headersSent || response.destroyed) return true
    const nowMs = this.#nowMs()
    const ttlSeconds = remainingSeconds(stored, nowMs)
    const status: CacheStatus =
      waitedFor === undefined
        ? { hit: true, ttlSeconds }
        : { hit: false, forward: waitedFor, ttlSeconds, collapsed: true }
    sendStored(response, stored, {
      body,
      headers: request.headers,
      isHead: request.method === 'HEAD',
      cacheStatus: cacheStatusField(status),
      nowMs,
      send: sendBy(response),
    })
    return true
  }

  async #forwardOther(exchange: HttpExchange): Promise<boolean> {
    const { request, response } = exchange
    if (request.method === 'POST' && this.#resolved.storesPost && (await this.#leadPost(exchange))) return false
    if (!isSafeMethod(request.method)) invalidateOnSuccess(exchange, () => this.cache)
    return forward(response, { hit: false, forward: 'method' })
  }

  /** Runs the handler of a POST if its response may be stored for later GETs; resolves to whether it may. */
  async #leadPost(exchange: HttpExchange): Promise<boolean> {
    if (bypassReason(exchange, this.#resolved.rules, { mayHaveBody: true }) !== undefined) return false
    const engine = engineOf(this.cache)
    const searchRule = exchange.url.includes('?') ? await this.#searchRules.of(exchange) : undefined
    const key = responseKey(exchange, this.#resolved, searchRule)
    const lookup = this.#lookupOf(engine, exchange, { key, searchRule, directives: NO_DIRECTIVES, content: undefined })
    if (!isStorablePost(lookup)) return false
    const before = await engine.tags.read(lookup.tagKeys)
    if (before === UNAVAILABLE) return false
    const invalidated = invalidateOnSuccess(exchange, () => this.cache)
    const run = this.#handlers.runOf({ ...lookup, purpose: 'whole' }, undefined, { forward: 'method' })
    this.#handlers.lead(exchange, run)
    // A response that is refused or cannot be stored is for this client only.
    storePosted(lookup, { run, before, invalidated }).catch(() => {})
    return true
  }
}

/** Lets the handler respond to this client only. */
function forward(response: ServerResponse, status: CacheStatus): false {
  beforeHead(response, (_, fields) => {
    response.setHeader('Cache-Status', cacheStatusField(status, lineOf(fields, 'cache-status')))
  })
  return false
}
