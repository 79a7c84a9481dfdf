import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { cacheStatusField } from '../cache-status.ts'
import type { CacheStatus, ForwardReason } from '../cache-status.ts'
import { contentPartOf, hasContentRange } from '../policy/byte-ranges.ts'
import { CONDITIONAL_FIELDS, isHeadOf, isNotModified } from '../policy/conditional.ts'
import { lineOf, sameValue, storableFields, toFields } from '../fields.ts'
import type { Fields } from '../fields.ts'
import { HandlerView } from './handler-view.ts'
import { appendedFields, freshenedAppended, ownFields } from './outer-fields.ts'
import { toHttpDate } from '../policy/http-date.ts'
import { IdentityWatch } from '../policy/identity-watch.ts'
import type { WatchedExchange, WatchScope } from '../policy/identity-watch.ts'
import type { RequestDirectives } from '../policy/request-directives.ts'
import { ResponseCapture } from './response-capture.ts'
import type { CaptureObserver, ClientOutput, HeadDecision } from './response-capture.ts'
import { storageOf, unstorableField } from '../policy/storage-policy.ts'
import type { PolicyConditions } from '../policy/storage-policy.ts'
import { LiveResponse } from './live-response.ts'
import { isGoodOnError, remainingSeconds } from '../policy/freshness.ts'
import type { ResponseClock } from '../policy/freshness.ts'
import { sendStored } from '../send-stored.ts'
import { combineParts, missingPart } from '../records/combine-parts.ts'
import type { MissingPart } from '../records/combine-parts.ts'
import type { FreshResponse, StoredPartial, StoredResponse } from '../records/stored-record.ts'
import type { VaryRules } from '../policy/vary.ts'
import { joinedVary, reducedPreferences, variedFields } from '../policy/vary.ts'

/** The error for a handler's response that is not stored and is sent to its own client only. */
export class UnstoredError extends Error {
  /**
   * `aborted`: there is no complete response, so another request has to try; `failed`: an error, which must not be
   * stored; `refused`: it cannot be stored.
   */
  readonly reason: 'aborted' | 'failed' | 'refused'
  /** The old response that may be served instead. */
  readonly stale: StoredResponse | undefined

  constructor(reason: UnstoredError['reason'], detail: string, stale?: StoredResponse) {
    super(`the response is not stored: ${detail}`)
    this.reason = reason
    this.stale = stale
  }
}

/** The purpose of a handler run. */
export type RunPurpose =
  /** The whole response. */
  | 'whole'
  /** The range that the client requests. */
  | 'range'
  /** The head of the response, for a HEAD; it may freshen the stored response. */
  | 'head'

/** The conditions of a handler run. */
export interface RunConditions extends Omit<PolicyConditions, 'isAuthorized'> {
  /** The key of the response. */
  readonly key: string
  readonly directives: RequestDirectives
  readonly forward: ForwardReason
  readonly maxBytes: number
  readonly purpose: RunPurpose
  /** The stored response that this run revalidates or replaces, with its body decompressed. */
  readonly stale: StoredResponse | undefined
  /** The stored part, with its body decompressed, to be completed or combined with the client's range. */
  readonly partial: StoredPartial | undefined
  /** Called if the handler's 206 does not complete the stored part, so that the client has no response yet. */
  readonly onIncomplete?: ((client: ClientOutput) => void) | undefined
  /** The choices of the application; the handler sees no other preferences. */
  readonly varyRules: VaryRules
  /** Whether cookies do not matter, so that the handler sees none. */
  readonly hidesCookies: boolean
  /** Query parameters that do not matter, so that the handler does not see them. */
  readonly hiddenParameters: ReadonlySet<string>
  /** The properties whose use by the handler makes a response belong to its client. */
  readonly watch: WatchScope
  /** Whether the handler's response is stored if it may be. */
  readonly stores: boolean
  /** Whether memcached has granted the lease, so that the response can be stored; `false` while memcached is away. */
  readonly hasLease: boolean
  readonly clock: ResponseClock
}

/** A client's conditions that the handler does not see, since they are evaluated here. */
const HIDDEN_CONDITIONS = {
  whole: CONDITIONAL_FIELDS,
  head: CONDITIONAL_FIELDS,
  range: CONDITIONAL_FIELDS.filter((name) => name !== 'range' && name !== 'if-range'),
} as const satisfies Record<RunPurpose, readonly string[]>

/** A withheld response: its reason, and the handler's own head. */
interface Withheld {
  readonly status: number
  readonly fields: Fields
  /** Whether it is the missing part of a stored part, and not a revalidation of a stored response. */
  readonly isMissingPart: boolean
}

/** The request and the response of a run. */
export interface RunExchange extends WatchedExchange {
  readonly response: ServerResponse
  /** Whether the user of the request is known. */
  readonly isAuthorized: boolean
}

const WITH_TRAILERS = 'it has trailers'

/** Fields of a 304 that say nothing about the stored content (RFC 9111, section 3.2). */
const NOT_UPDATED = new Set(['content-length', 'content-encoding', 'content-range'])

/**
 * One run of a handler, whose response goes to its client as usual, and is stored if it may be. The handler sees the
 * request without the client's conditions, so that it returns the whole response, or with the conditions of a stored
 * response that is revalidated. The client's own conditions are evaluated here.
 */
export class HandlerRun implements CaptureObserver {
  /** The response; rejects with `UnstoredError`. */
  readonly outcome: Promise<FreshResponse>
  /** The response as it is being written, for concurrent requests of the same key. */
  readonly live: LiveResponse
  readonly #conditions: RunConditions
  #request!: IncomingMessage
  #response!: ServerResponse
  #isAuthorized = false
  /** Fields that were set before the handler ran; their middlewares set them again for the next client. */
  #before: Fields = {}
  #capture: ResponseCapture | undefined
  #adopted: Pick<PolicyConditions, 'defaultSeconds' | 'staleSeconds'> | undefined
  readonly #adoptedTags: string[] = []
  #view: HandlerView | undefined
  #identity: IdentityWatch | undefined
  #resolve!: (response: FreshResponse) => void
  #reject!: (error: UnstoredError) => void
  #fresh: Omit<FreshResponse, 'body'> | undefined
  #expectedLength: string | undefined
  #withheld: Withheld | undefined
  #missing: MissingPart | undefined
  #hasTrailers = false

  constructor(conditions: RunConditions) {
    this.#conditions = conditions
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.outcome.catch(() => {})
    this.live = new LiveResponse(conditions.maxBytes, () => this.#capture?.onUnfollowed())
  }

  /** Captures the response from now on; call the handler next. */
  begin(exchange: RunExchange): void {
    const { request, response, application, isAuthorized } = exchange
    this.#request = request
    this.#response = response
    this.#isAuthorized = isAuthorized
    const { stale, maxBytes, hidesCookies, hiddenParameters, watch } = this.#conditions
    const { purpose, partial } = this.#conditions
    if (purpose === 'whole' && stale === undefined && partial !== undefined)
      this.#missing = missingPart(partial, maxBytes)
    this.#before = toFields(this.#response.getHeaders())
    const revalidated = purpose === 'whole' ? stale : undefined
    const etag = revalidated && lineOf(revalidated.fields, 'etag')
    const modified = revalidated && lineOf(revalidated.fields, 'last-modified')
    this.#view = new HandlerView(this.#request, application, {
      fields: HIDDEN_CONDITIONS[purpose],
      added: {
        ...(etag === undefined ? {} : { 'if-none-match': etag }),
        ...(modified === undefined ? {} : { 'if-modified-since': modified }),
        ...reducedPreferences(this.#request.headers, this.#conditions.varyRules),
        ...(this.#missing === undefined ? {} : { range: this.#missing.range, 'if-range': this.#missing.ifRange }),
      },
      cookies: hidesCookies,
      parameters: hiddenParameters,
    })
    if (watch !== 'nothing') this.#identity = new IdentityWatch(exchange, watch)
    this.#capture = new ResponseCapture(this.#response, this, maxBytes)
  }

  /** The key of the response. */
  get key(): string {
    return this.#conditions.key
  }

  // A property, so that it can be passed as a function.
  readonly outside = <Result>(run: () => Result): Result =>
    this.#identity === undefined ? run() : this.#identity.outside(run)

  /**
   * Called when an inner cache gets the same request. If its key is the same, the inner cache leaves the response to
   * this cache, which takes over its tags and lifetimes. If its key differs, the inner cache serves the request, and
   * this cache stores nothing.
   *
   * @returns whether this cache keeps the response.
   */
  adopt(key: string, within: Pick<RunConditions, 'defaultSeconds' | 'staleSeconds'>, tags: readonly string[]): boolean {
    if (key !== this.#conditions.key) {
      this.refuse('an inner cache uses another key for it')
      return false
    }
    // Requests that already follow do not know these tags.
    this.live.fail('retry')
    this.#adopted = within
    this.#adoptedTags.push(...tags)
    return true
  }

  /** Prevents the response from being stored, at the request of an inner cache. */
  refuse(why: string): void {
    this.#fail('refused', why)
  }

  /** The tags of inner caches for the response. */
  get adoptedTags(): readonly string[] {
    return this.#adoptedTags
  }

  isFollowed(): boolean {
    return this.live.isFollowed
  }

  /** Called if the handler was not run, or did not complete its response. */
  onAbort(): void {
    this.#endView()
    this.#fail('aborted', 'it ended before it was complete')
  }

  onPart(part: Buffer): void {
    // If a handler identifies the user while it writes the body, the rest is for that client only.
    if (this.#isIdentified && this.#fresh?.lifetimes.isShared !== true) this.live.fail('alone')
    else this.live.push(part)
  }

  onOverflow(): void {
    this.live.overflow()
    this.#reject(new UnstoredError('refused', `it has more than maxBytes (${this.#conditions.maxBytes}) bytes`))
  }

  onTrailers(): void {
    this.#hasTrailers = true
  }

  onHead(status: number, fields: Fields, reason: string | undefined): HeadDecision {
    const { stale, directives, clock } = this.#conditions
    if (stale !== undefined) {
      const isGood = status >= 500 && isGoodOnError(stale, directives, clock.nowMs())
      if (status === 304 || isGood) {
        this.live.fail('retry')
        this.#withheld = { status, fields, isMissingPart: false }
        return { action: 'withhold', isBodyWanted: false }
      }
    }
    // If the client has not requested a range, neither 206 nor 416 is a response to its request.
    if (this.#missing !== undefined && (status === 206 || status === 416)) {
      this.live.fail('retry')
      this.#withheld = { status, fields, isMissingPart: true }
      return { action: 'withhold', isBodyWanted: status === 206 && hasContentRange(fields) }
    }
    const isBodyWanted = this.#decideStoring(status, fields, reason)
    const { forward, hasLease } = this.#conditions
    // `stored` states that the response will be stored; for a body without a length, this is not known yet.
    const stored = isBodyWanted && hasLease && this.#expectedLength !== undefined
    this.#response.setHeader(
      'Cache-Status',
      cacheStatusField({ hit: false, forward, stored }, lineOf(fields, 'cache-status')),
    )
    const isKnown = isNotModified(this.#clientHeaders, { status, fields, receivedMs: clock.ownMs() })
    return { action: isKnown ? 'notModified' : 'send', isBodyWanted }
  }

  /** Decides by the head whether the response may be stored. */
  #decideStoring(status: number, fields: Fields, reason: string | undefined): boolean {
    const { maxBytes, clock, stores } = this.#conditions
    if (!stores) return false
    if (this.#conditions.purpose === 'head') return this.#freshenByHead(status, fields)
    const decision = this.#storageOf(status, fields)
    if ('refused' in decision) {
      this.#fail(status >= 500 ? 'failed' : 'refused', decision.refused)
      return false
    }
    if (this.#hasTrailers) {
      this.#fail('refused', WITH_TRAILERS)
      return false
    }
    const length = lineOf(fields, 'content-length')
    if (Number(length ?? 0) > maxBytes) {
      this.onOverflow()
      return false
    }
    const { lifetimes, unstored } = decision
    const storable = storableFields(ownFields(fields, this.#before), unstored)
    const unstorable = unstorableField(storable, lifetimes)
    if (unstorable !== undefined) {
      this.#fail('refused', unstorable)
      return false
    }
    this.#fresh = {
      status,
      reason,
      fields: { date: toHttpDate(clock.ownMs()), ...storable },
      appended: appendedFields(storable, this.#before),
      removed: Object.keys(this.#before).filter((name) => !Object.hasOwn(fields, name)),
      receivedMs: clock.nowMs(),
      lifetimes,
      names: variedFields(fields),
    }
    this.#expectedLength = length
    // A part that followers have received cannot be taken back. If the response may still turn out to belong to one
    // user, or have trailers, they wait until it is complete.
    const isWhole = status !== 206 && fields['trailer'] === undefined
    if (isWhole && (lifetimes.isShared || this.#identity?.maySee !== true)) this.#beginLive()
    return true
  }

  #beginLive(): void {
    const length = this.#expectedLength === undefined ? undefined : Number(this.#expectedLength)
    this.live.begin({ ...this.#fresh!, length })
  }

  onEnd(body: Buffer | undefined): void {
    const isIdentified = this.#isIdentified
    this.#endView()
    if (this.#withheld?.isMissingPart === true) return this.#sendCompleted(this.#withheld, body)
    if (this.#withheld !== undefined) return this.#sendInstead(this.#withheld)
    const fresh = this.#fresh
    if (this.live.isRelayed) return this.live.end()
    if (fresh === undefined || body === undefined) return this.#fail('refused', 'its body was not captured')
    // The handler may have identified the user late, while it wrote the body.
    if (isIdentified && !fresh.lifetimes.isShared) return this.#fail('refused', 'it belongs to one user')
    if (this.#expectedLength !== undefined && Number(this.#expectedLength) !== body.length) {
      return this.#fail(
        'aborted',
        `its body has ${body.length} bytes, but its Content-Length is ${this.#expectedLength}`,
      )
    }
    if (this.#hasTrailers) return this.#endWithTrailers()
    if (fresh.status === 206) return this.#endPart(fresh, body)
    this.#beginLive()
    this.live.end()
    this.#resolve({ ...fresh, body })
  }

  /** Does not store a response with trailers, which would be lost. Requests that follow already have its whole body. */
  #endWithTrailers(): void {
    if (typeof this.live.now !== 'string') this.live.end()
    this.#fail('refused', WITH_TRAILERS)
  }

  /** Stores the handler's part, combined with the stored part if they are adjacent. */
  #endPart(fresh: Omit<FreshResponse, 'body'>, body: Buffer): void {
    const { partial, maxBytes } = this.#conditions
    const { 'content-range': contentRange, ...fields } = fresh.fields
    const part = contentPartOf({ 'content-range': contentRange ?? '' }, body.length)
    if (part === undefined) return this.#fail('refused', 'its body does not fit its Content-Range')
    this.live.fail('retry')
    const combined = combineParts(partial, { fields, receivedMs: fresh.receivedMs, part, body }, maxBytes)
    const whole = combined.part === undefined ? { status: 200, reason: undefined } : {}
    this.#resolve({ ...fresh, ...whole, fields, ...combined })
  }

  /** Sends the client the stored part and the handler's missing part as one response. */
  #sendCompleted({ status, fields }: Withheld, body: Buffer | undefined): void {
    const { partial, maxBytes, clock } = this.#conditions
    const part = body === undefined ? undefined : contentPartOf(fields, body.length)
    const fresh = part === undefined ? undefined : { fields, receivedMs: clock.ownMs(), part, body: body! }
    const whole = fresh === undefined ? undefined : combineParts(partial, fresh, maxBytes)
    if (whole === undefined || whole.part !== undefined) {
      this.#fail('refused', 'the handler did not return the missing part of the stored version')
      this.#restoreFields()
      this.#conditions.onIncomplete?.(this.#capture!.takeOver())
      return
    }
    const { kind: _, part: __, ...head } = partial!
    const base: StoredResponse = {
      ...head,
      kind: 'response',
      status: 200,
      reason: undefined,
      compression: 'none',
      ...whole,
      length: whole.body.length,
    }
    this.#answerInstead(this.#freshen(base, fields, whole.body), whole.body, { status, fields })
  }

  #storageOf(status: number, fields: Fields) {
    const { clock, targetedFields, allowsHeuristics } = this.#conditions
    const { defaultSeconds, staleSeconds } = this.#adopted ?? this.#conditions
    const conditions = {
      defaultSeconds,
      allowsHeuristics,
      staleSeconds,
      targetedFields,
      isAuthorized: this.#isAuthorized || this.#isIdentified,
      isRange: this.#conditions.purpose === 'range',
    }
    return storageOf({ status, fields, receivedMs: clock.ownMs() }, conditions)
  }

  get #isIdentified(): boolean {
    return this.#identity?.sees === true
  }

  get #clientHeaders(): IncomingHttpHeaders {
    return this.#view?.clientHeaders ?? this.#request.headers
  }

  #endView(): void {
    this.#view?.end()
    this.#identity?.end()
  }

  #fail(reason: UnstoredError['reason'], detail: string): void {
    this.live.fail(reason === 'aborted' ? 'retry' : 'alone')
    this.#reject(new UnstoredError(reason, detail, reason === 'failed' ? this.#conditions.stale : undefined))
  }

  /** Sends the client the stored response: the handler has confirmed it, or has failed. */
  #sendInstead({ status, fields }: Withheld): void {
    const { stale } = this.#conditions
    const { body } = stale!
    const kept = status === 304 ? this.#freshen(stale!, fields, body) : stale!
    if (status !== 304) this.#fail('failed', `status ${status}`)
    this.#answerInstead(kept, body, { status, fields })
  }

  /** Removes the fields that the handler has set. */
  #restoreFields(): void {
    const response = this.#response
    for (const name of response.getHeaderNames()) response.removeHeader(name)
    for (const [name, value] of Object.entries(this.#before)) response.setHeader(name, value)
  }

  /** Sends the client a response in place of the handler's. */
  #answerInstead(kept: StoredResponse, body: Buffer, { status, fields }: Pick<Withheld, 'status' | 'fields'>): void {
    const nowMs = this.#conditions.clock.nowMs()
    const response = this.#response
    this.#restoreFields()
    const isGood = status < 400
    // A cookie belongs to this client, and is never stored.
    if (isGood && fields['set-cookie'] !== undefined) response.setHeader('Set-Cookie', fields['set-cookie'])
    const about: CacheStatus = {
      hit: false,
      forward: this.#conditions.forward,
      forwardStatus: status,
      ttlSeconds: remainingSeconds(kept, nowMs),
      stored: this.#conditions.stores && this.#conditions.hasLease && isGood,
    }
    sendStored(response, kept, {
      body,
      headers: this.#clientHeaders,
      isHead: this.#conditions.purpose === 'head',
      cacheStatus: cacheStatusField(about),
      nowMs,
      send: (status, body, reason) => this.#capture!.replace(status, body, reason),
    })
  }

  /** Freshens the stored response by a HEAD of the same version (RFC 9111, section 4.3.5). */
  #freshenByHead(status: number, fields: Fields): false {
    const { stale } = this.#conditions
    if (stale !== undefined && status === stale.status && isHeadOf(fields, stale))
      this.#freshen(stale, fields, stale.body)
    else this.#fail('refused', 'its head does not match the stored response')
    return false
  }

  /** Returns the stored response, updated by a 304 or the head of the same version (RFC 9111, section 4.3.4). */
  #freshen(stale: StoredResponse, fields: Fields, body: Buffer): StoredResponse {
    const { clock } = this.#conditions
    const receivedMs = clock.nowMs()
    const updates = Object.entries(storableFields(fields, [])).filter(([name]) => !NOT_UPDATED.has(name))
    const renewed: Fields = Object.fromEntries(updates.filter(([name, value]) => !sameValue(value, this.#before[name])))
    const updated: Fields = { ...stale.fields, date: toHttpDate(clock.ownMs()), ...renewed }
    // Middleware that compresses adds its part of `Vary` to a whole response only.
    if (updated['vary'] !== undefined) updated['vary'] = joinedVary(stale.fields, updated)
    const evaluated: Fields = { ...this.#before, ...updated }
    // Fields about this single response are used as they came, or not at all.
    for (const name of ['age', 'date', 'set-cookie']) {
      const value = fields[name]
      if (value === undefined) delete evaluated[name]
      else evaluated[name] = value
    }
    const decision = this.#storageOf(stale.status, evaluated)
    if ('refused' in decision) {
      this.#fail('refused', decision.refused)
      return { ...stale, fields: updated }
    }
    const { lifetimes, unstored } = decision
    const { status, reason, removed } = stale
    const stored = { status, reason, fields: storableFields(updated, unstored), removed, receivedMs, lifetimes }
    const unstorable = unstorableField(stored.fields, lifetimes)
    if (unstorable !== undefined) {
      this.#fail('refused', unstorable)
      return { ...stale, fields: updated }
    }
    const appended = freshenedAppended(stale.appended, renewed, this.#before)
    this.#resolve({ ...stored, appended, names: variedFields(evaluated), body })
    return { ...stale, ...stored, appended }
  }
}
