import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { LRUCache } from 'lru-cache'
import { joinKey } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { CacheCore } from '../cache/cache-core.ts'
import { resolveLoading } from '../cache/get-or-set-options.ts'
import type { LoadContext, ResolvedLoading } from '../cache/get-or-set-options.ts'
import type { Fitness } from '../cache/read-through.ts'
import { getDefaultMemcache } from '../default-memcache.ts'
import { coreOf } from '../memcache.ts'
import type { Memcache } from '../memcache.ts'
import { cacheStatusField } from './cache-status.ts'
import type { CacheStatus, ForwardReason } from './cache-status.ts'
import { lineOf } from './fields.ts'
import { HandlerRun, UnstoredError } from './handler-run.ts'
import type { FreshResponse } from './handler-run.ts'
import { madeUpExchange } from './made-up-exchange.ts'
import { NO_DIRECTIVES, requestDirectives } from './request-directives.ts'
import type { RequestDirectives } from './request-directives.ts'
import { bypassReason, requestKey } from './request-key.ts'
import type { RequestTarget } from './request-key.ts'
import { KEPT_STALE_SECONDS, resolveResponseCache } from './response-cache-options.ts'
import type { ResolvedResponseCache, ResponseCacheOptions } from './response-cache-options.ts'
import { beforeHead } from './response-head-hook.ts'
import type { Lifetimes } from './response-policy.ts'
import { isGoodOnError, judgeReuse, remainingSeconds } from './reuse.ts'
import { sendBy, sendStored } from './send-stored.ts'
import { decodeRecord, encodeRecord, packBody, unpackBody } from './stored-record.ts'
import type { StoredRecord, StoredResponse } from './stored-record.ts'
import { invalidateOnSuccess, urlTag } from './unsafe-requests.ts'
import { variantOf } from './vary.ts'

/** A request to a server of `node:http`, and where its response goes; what an adapter knows of it. */
export interface HttpExchange extends RequestTarget {
  readonly response: ServerResponse
  /** What the response belongs to, for `cache.invalidateTags`; besides `url:<path>`. */
  readonly tags?: readonly string[] | undefined
  /** Runs a request that nobody waits for through the application, to revalidate what others are served stale. */
  readonly dispatch: (request: IncomingMessage, response: ServerResponse) => void
}

/** One question to the cache: what is looked for, for which request. */
interface Question {
  readonly exchange: HttpExchange
  /** In full, and as it is stored. */
  readonly key: string
  readonly name: string
  /** For a variant: what is known of all of them. */
  readonly variants: { readonly key: string; readonly name: string; readonly names: readonly string[] } | undefined
  readonly directives: RequestDirectives
  readonly tagKeys: readonly string[]
  /** When it was asked, by `performance.now()`. */
  readonly askedMs: number
}

/** What was found for a question, and whether it is what another request's handler has just given. */
interface Asked {
  readonly record: StoredRecord | undefined
  readonly isJoined: boolean
  /** What is stored, and could not be served. */
  readonly old: StoredResponse | undefined
}

/** How long nobody waits for another's answer where one could not be stored. */
const PASS_SECONDS = 10
/** How long it is remembered that the responses of a URL vary: as long as memcached counts. */
const VARIANTS_TTL: Ttl = '30d'
/** How long a request waits for the answer to another one before it runs the handler for itself. */
const LONGEST_WAIT_MS = 10_000
/** How often a request waits again after an answer that was broken off. */
const MOST_ATTEMPTS = 3
const MOST_REMEMBERED = 10_000
const MOST_SECONDS = 31_536_000
/** memcached's seconds and ours do not begin together: a response must be stale by itself before memcached says so. */
const GRAIN_SECONDS = 1

/** Requests that one response cache sees to already: one inside another would wait for itself. */
const seen = new WeakSet<IncomingMessage>()

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
  /** Runs in the background, by the requests that were made up for them. */
  readonly #background = new WeakMap<IncomingMessage, HandlerRun>()
  /** Until when requests do not wait for each other, since the answer to one is of no use to another; by key. */
  readonly #alone = new LRUCache<string, number>({ max: MOST_REMEMBERED })

  /** When the last handler call ended whose answer is stored, by key and `performance.now()`. */
  readonly #ended = new LRUCache<string, number>({ max: MOST_REMEMBERED })

  /** @throws MemcacheOptionError for a value that cannot be. */
  constructor(options: ResponseCacheOptions) {
    this.#options = options
    this.#resolved = resolveResponseCache(options)
    this.#loading = { ...resolveLoading({ jitter: 0, l1: false }, PASS_SECONDS), staleSeconds: KEPT_STALE_SECONDS }
  }

  /** The cache that responses lie in. */
  get cache(): Memcache {
    return this.#options.cache ?? getDefaultMemcache()
  }

  /**
   * Answers a request from the cache. `true`: the response was sent. `false`: the handler is to answer, now, on the same response, which
   * is looked on.
   */
  async answer(exchange: HttpExchange): Promise<boolean> {
    const { request, response, url } = exchange
    const inBackground = this.#background.get(request)
    if (seen.has(request)) return false
    seen.add(request)
    if (inBackground !== undefined) {
      this.#background.delete(request)
      inBackground.begin()
      return false
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') return this.#forwardOther(exchange)
    const { rules, honoursRequests } = this.#resolved
    const reason = bypassReason(exchange, rules)
    if (reason !== undefined) return forward(response, { hit: false, forward: 'bypass', detail: reason })
    const directives = requestDirectives(request.headers, honoursRequests)
    if (directives.noStore) return forward(response, { hit: false, forward: 'request' })
    const key = joinKey(this.#keyParts(exchange))
    const core = coreOf(this.cache)
    return this.#answerFrom(core, {
      exchange,
      key,
      name: this.#nameOf(key),
      variants: undefined,
      directives,
      askedMs: performance.now(),
      tagKeys: [...new Set([urlTag(url), ...(exchange.tags ?? [])])].map((tag) => core.parts.tagKey(tag)),
    })
  }

  async #answerFrom(core: CacheCore, question: Question): Promise<boolean> {
    const { request, response } = question.exchange
    const { headers } = request
    const onlyLooks = request.method === 'HEAD' || headers.range !== undefined || question.directives.onlyIfCached
    if (!onlyLooks && headers.authorization === undefined) return this.#share(core, question)
    const found = await this.#look(core, question)
    const isServed = found !== undefined && this.#judge(found, question) !== 'unfit'
    if (isServed && found.kind === 'response') return this.#send(question, found, undefined)
    if (question.directives.onlyIfCached) {
      response.setHeader('Cache-Status', cacheStatusField({ hit: false, detail: 'only-if-cached' }))
      sendBy(response)(504, undefined)
      return true
    }
    if (onlyLooks) return forward(response, { hit: false, forward: found === undefined ? 'uri-miss' : 'stale' })
    if (found !== undefined || this.#isAlone(authorizedName(question)))
      return forward(response, { hit: false, forward: 'bypass', detail: 'authorization' })
    return this.#share(core, question)
  }

  /** Answers by what one handler call gives for all that ask at once. */
  async #share(core: CacheCore, question: Question): Promise<boolean> {
    const { response } = question.exchange
    const waiting = new Waiting(response)
    let waits = !this.#isAlone(question.name)
    let old: StoredResponse | undefined
    try {
      for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
        const asked = await this.#ask(core, question, waits, waiting.signal)
        if (asked === 'leading') return false
        if (waiting.isGone) return true
        if (asked === 'aborted') continue
        const { record, isJoined } = asked
        old = asked.old
        if (record === undefined) break
        if (record.kind === 'variants') return await this.#share(core, this.#variantOf(question, record))
        if (record.kind === 'pass') {
          // Not waiting, it may still be the one whose answer is stored.
          if (!waits) break
          this.#leaveAlone(question.name)
          if (isJoined) break
          waits = false
          continue
        }
        if (isJoined) {
          // What another request's handler has just given is not reused where it would not be a moment later.
          const fitness = this.#judge(record, { ...question, directives: NO_DIRECTIVES })
          old = record
          if (fitness === 'unfit') break
          if (fitness === 'stale') continue
        }
        // Who came when the answer was whole has not waited for it, just for its being stored.
        const isCollapsed = isJoined && (this.#ended.get(question.name) ?? Infinity) > question.askedMs
        return await this.#send(question, record, isCollapsed ? forwardReason(question, undefined) : undefined)
      }
    } finally {
      waiting.end()
    }
    if (old === undefined) return forward(response, { hit: false, forward: forwardReason(question, undefined) })
    // For this client alone, but as one that revalidates what is stored.
    this.#runOf(question, question.exchange, old, false).begin()
    return false
  }

  #isAlone(name: string): boolean {
    return (this.#alone.get(name) ?? 0) > this.cache.clock.nowMs()
  }

  #leaveAlone(name: string): void {
    this.#alone.set(name, this.cache.clock.nowMs() + PASS_SECONDS * 1000)
  }

  /** What there is for a question: stored, or just given to another; `leading`: this request's handler is to be run. */
  async #ask(
    core: CacheCore,
    question: Question,
    waits: boolean,
    signal: AbortSignal,
  ): Promise<Asked | 'leading' | 'aborted'> {
    const { name, key, tagKeys, directives } = question
    let isJoined = true
    let old: StoredResponse | undefined
    return new Promise((resolve, reject) => {
      core
        .getOrSet({
          name,
          required: [],
          tagKeys,
          staleSeconds: KEPT_STALE_SECONDS,
          l1: false,
          loading: this.#loading,
          signal,
          waits,
          judge: (value) => {
            const record = decodeRecord(value, key)
            if (record?.kind === 'response') old = record
            const isOfUse = record !== undefined && (waits || record.kind !== 'pass')
            const fitness = isOfUse ? this.#judge(record, question) : 'unfit'
            // What was found is judged, and what another has loaded is not.
            isJoined = fitness === 'unfit'
            return fitness
          },
          load: (context) => {
            // The request has been given to its handler already.
            if (signal.aborted) throw new UnstoredError('aborted', 'nobody waits for it')
            const run = this.#runOf(question, question.exchange, staleOf(context, question))
            run.begin()
            resolve('leading')
            return this.#keep(core, question, run, context)
          },
          reload: (context) => this.#reload(core, question, context),
        })
        .then((value) => resolve({ record: decodeRecord(value, key), isJoined, old }))
        .catch((error: unknown) => {
          if (signal.aborted) return resolve({ record: undefined, isJoined, old })
          if (!(error instanceof UnstoredError)) return reject(error)
          if (error.reason === 'aborted') return resolve('aborted')
          const { stale } = error
          const isGood = stale !== undefined && isGoodOnError(stale, directives, this.cache.clock.nowMs())
          resolve({ record: isGood ? stale : undefined, isJoined: false, old: undefined })
        })
    })
  }

  #runOf(
    question: Question,
    { request, response }: Pick<HttpExchange, 'request' | 'response'>,
    stale: StoredResponse | undefined,
    stores = true,
  ): HandlerRun {
    const { defaultSeconds, staleSeconds, maxBytes, rules } = this.#resolved
    return new HandlerRun(request, response, {
      defaultSeconds,
      staleSeconds,
      maxBytes,
      stale,
      stores,
      directives: question.directives,
      forward: forwardReason(question, stale),
      dropsCookies: rules.ignoreCookies === true || rules.ignoreCookies.size > 0,
      nowMs: () => this.cache.clock.nowMs(),
    })
  }

  /** Runs the handler while others are served the stale response. */
  async #reload(core: CacheCore, question: Question, context: LoadContext): Promise<Buffer> {
    const { exchange } = question
    const { request, response } = madeUpExchange(exchange.request, exchange.url)
    const run = this.#runOf(question, { request, response }, staleOf(context, question))
    this.#background.set(request, run)
    // The application may answer before it comes here: then there is nothing to keep.
    response.once('close', () => run.onAbort())
    exchange.dispatch(request, response)
    return this.#keep(core, question, run, context)
  }

  /** What is stored of a handler's answer, and for how long. @throws UnstoredError for what must not last. */
  async #keep(core: CacheCore, question: Question, run: HandlerRun, context: LoadContext): Promise<Buffer> {
    const { key } = question
    try {
      const fresh = await run.outcome
      this.#ended.set(question.name, performance.now())
      return await this.#record(core, question, fresh, context)
    } catch (error) {
      if (!(error instanceof UnstoredError) || error.reason !== 'refused') throw error
      if (question.exchange.request.headers.authorization !== undefined) {
        // Others may be given what this client's credentials forbid to share.
        this.#leaveAlone(authorizedName(question))
        throw error
      }
      return this.#passRecord(key, context, PASS_SECONDS)
    }
  }

  async #record(core: CacheCore, question: Question, fresh: FreshResponse, context: LoadContext): Promise<Buffer> {
    const { key, name, variants, tagKeys, exchange } = question
    const names = fresh.names.filter((name) => !this.#resolved.vary.includes(name))
    const { status, fields, receivedMs, lifetimes } = fresh
    const packed = await packBody(fields, fresh.body)
    const stored: StoredResponse = { kind: 'response', key, status, fields, receivedMs, lifetimes, ...packed }
    const freshSeconds = Math.ceil(
      Math.min(MOST_SECONDS, Math.max(0, lifetimes.freshSeconds - lifetimes.initialAgeSeconds)),
    )
    const seconds = freshSeconds + GRAIN_SECONDS
    const known = variants?.names ?? []
    if (isReusable(lifetimes)) this.#alone.delete(name)
    else this.#leaveAlone(name)
    if (names.every((name) => known.includes(name))) {
      context.setTtlSeconds(`${seconds}s`)
      return encodeRecord(stored)
    }
    const all = [...new Set([...known, ...names])].sort()
    const id = randomBytes(12).toString('base64url')
    const primary = variants ?? { key, name }
    const marker = encodeRecord({ kind: 'variants', key: primary.key, names: all, id })
    if (variants !== undefined) {
      // The lease is that of a variant, and what varies by more has another key: the next request finds it by the new list.
      await core.writes.set(primary.name, marker, VARIANTS_TTL, tagKeys)
      return this.#passRecord(key, context, GRAIN_SECONDS)
    }
    const own = variantKey(key, id, all, exchange.request)
    await core.writes.set(
      this.#nameOf(own),
      encodeRecord({ ...stored, key: own }),
      `${seconds + KEPT_STALE_SECONDS}s`,
      tagKeys,
    )
    context.setTtlSeconds(VARIANTS_TTL)
    return marker
  }

  #passRecord(key: string, context: LoadContext, seconds: number): Buffer {
    context.setTtlSeconds(seconds)
    return encodeRecord({ kind: 'pass', key, untilMs: this.cache.clock.nowMs() + seconds * 1000 })
  }

  #judge(record: StoredRecord, { directives, exchange }: Question): Fitness {
    const nowMs = this.cache.clock.nowMs()
    if (record.kind === 'variants') return 'fresh'
    if (record.kind === 'pass') return nowMs < record.untilMs ? 'fresh' : 'unfit'
    if (exchange.request.headers.authorization !== undefined && !record.lifetimes.isShared) return 'unfit'
    const reuse = judgeReuse(record, directives, nowMs)
    return reuse === 'fresh' || reuse === 'stale' ? reuse : 'unfit'
  }

  /** What is stored for a question; takes no lease. */
  async #look(core: CacheCore, question: Question): Promise<StoredRecord | undefined> {
    const found = decodeRecord(await core.reads.get(question.name, []), question.key)
    return found?.kind === 'variants' ? this.#look(core, this.#variantOf(question, found)) : found
  }

  #variantOf(question: Question, { id, names }: Extract<StoredRecord, { kind: 'variants' }>): Question {
    const key = variantKey(question.key, id, names, question.exchange.request)
    return { ...question, key, name: this.#nameOf(key), variants: { key: question.key, name: question.name, names } }
  }

  async #send(question: Question, stored: StoredResponse, waitedFor: ForwardReason | undefined): Promise<boolean> {
    const { request, response } = question.exchange
    const body = await unpackBody(stored)
    if (response.headersSent || response.destroyed) return true
    const nowMs = this.cache.clock.nowMs()
    const ttlSeconds = remainingSeconds(stored, nowMs)
    const status: CacheStatus =
      waitedFor === undefined
        ? { hit: true, ttlSeconds }
        : { hit: false, forward: waitedFor, ttlSeconds, collapsed: true }
    const { headers } = request
    const cacheStatus = cacheStatusField(status)
    sendStored(response, stored, body, {
      headers,
      isHead: request.method === 'HEAD',
      cacheStatus,
      nowMs,
      send: sendBy(response),
    })
    return true
  }

  #forwardOther({ request, response, url }: HttpExchange): boolean {
    const isSafe = request.method === 'OPTIONS' || request.method === 'TRACE'
    if (!isSafe) invalidateOnSuccess(request, response, url, () => this.cache)
    return forward(response, { hit: false, forward: 'method' })
  }

  #keyParts(exchange: HttpExchange): readonly string[] {
    const { vary, rules } = this.#resolved
    const parts = requestKey(exchange, rules)
    return vary.length === 0 ? parts : [...parts, variantOf(vary, exchange.request.headers)]
  }

  #nameOf(key: string): string {
    return this.cache.key(key)
  }
}

/** A request that waits for another one's answer: for as long as its client does, and not for ever. */
class Waiting {
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout
  readonly #response: ServerResponse
  readonly #leave = (): void => this.#controller.abort()

  constructor(response: ServerResponse) {
    this.#response = response
    this.#timer = setTimeout(this.#leave, LONGEST_WAIT_MS)
    response.once('close', this.#leave)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Whether the client has left. */
  get isGone(): boolean {
    return this.#response.destroyed
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#response.off('close', this.#leave)
  }
}

/** The response that a loader is to revalidate or replace. */
function staleOf({ stale }: LoadContext, { key }: Question): StoredResponse | undefined {
  const record = stale === undefined ? undefined : decodeRecord(stale, key)
  return record?.kind === 'response' ? record : undefined
}

/** Whether a response is good for another request without asking for it. */
function isReusable({ freshSeconds, initialAgeSeconds, whileRevalidateSeconds, alwaysRevalidate }: Lifetimes): boolean {
  return !alwaysRevalidate && freshSeconds + whileRevalidateSeconds > initialAgeSeconds
}

function authorizedName({ name }: Question): string {
  return `${name} authorized`
}

function variantKey(key: string, id: string, names: readonly string[], request: IncomingMessage): string {
  return `${key}:${id}:${variantOf(names, request.headers)}`
}

function forwardReason({ variants }: Question, stale: StoredResponse | undefined): ForwardReason {
  if (stale !== undefined) return 'stale'
  return variants === undefined ? 'uri-miss' : 'vary-miss'
}

/** Lets the handler answer for this client alone. */
function forward(response: ServerResponse, status: CacheStatus): false {
  beforeHead(response, (_, fields) => {
    response.setHeader('Cache-Status', cacheStatusField(status, lineOf(fields, 'cache-status')))
  })
  return false
}
