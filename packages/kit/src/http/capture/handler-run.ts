import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { cacheStatusField } from '../cache-status.ts'
import type { CacheStatus, ForwardReason } from '../cache-status.ts'
import { contentPartOf, hasContentRange } from '../policy/byte-ranges.ts'
import type { ContentPart } from '../policy/byte-ranges.ts'
import { CONDITIONAL_FIELDS, isNotModified } from '../policy/conditional.ts'
import { lineOf, sameValue, storableFields, toFields } from '../fields.ts'
import type { Fields } from '../fields.ts'
import { HandlerView } from './handler-view.ts'
import { toHttpDate } from '../policy/http-date.ts'
import { IdentityWatch } from '../policy/identity.ts'
import type { ApplicationRequest } from '../policy/identity.ts'
import type { RequestDirectives } from '../policy/request-directives.ts'
import { ResponseCapture } from './response-capture.ts'
import type { CaptureObserver, ClientOutput, HeadDecision } from './response-capture.ts'
import { storageOf, POLICY_FIELDS } from '../policy/storage-policy.ts'
import type { Lifetimes, PolicyConditions } from '../policy/storage-policy.ts'
import { LiveResponse } from './live-response.ts'
import { isGoodOnError, remainingSeconds } from '../policy/freshness.ts'
import { sendStored } from '../send-stored.ts'
import { combineParts, missingPart } from '../records/combine-parts.ts'
import type { MissingPart } from '../records/combine-parts.ts'
import type { StoredPartial, StoredResponse } from '../records/stored-record.ts'
import type { VaryRules } from '../policy/vary.ts'
import { reducedPreferences, variedFields } from '../policy/vary.ts'

/** A response that may be stored, as the handler gave it. */
export interface FreshResponse {
  readonly status: number
  readonly fields: Fields
  /** Fields that were set before the cache, and that the handler took away. */
  readonly removed: readonly string[]
  readonly receivedMs: number
  readonly lifetimes: Lifetimes
  /** The request fields that it was selected by. */
  readonly names: readonly string[]
  /** Which part of the representation the body is; `undefined`: all of it. */
  readonly part?: ContentPart | undefined
  readonly body: Buffer
}

/** Why a handler's answer is not stored, and is nobody's but its own client's. */
export class UnstoredError extends Error {
  /**
   * `aborted`: there is no whole answer, so that another has to find out; `failed`: an error, which must not last;
   * `refused`: it cannot be stored.
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

/** What a handler is run for. */
export type RunPurpose =
  /** All of the response. */
  | 'whole'
  /** The range that the client requests. */
  | 'range'
  /** The head of the response, for a HEAD: it may freshen what is stored. */
  | 'head'

/** How a handler is run. */
export interface RunConditions extends Omit<PolicyConditions, 'isAuthorized'> {
  /** What the response is stored under. */
  readonly key: string
  readonly directives: RequestDirectives
  readonly forward: ForwardReason
  readonly maxBytes: number
  readonly purpose: RunPurpose
  /** The stored response that this run is to revalidate or replace, its body unpacked. */
  readonly stale: StoredResponse | undefined
  /**
   * The part that is stored, its body unpacked: to be completed, or to be combined with the range that the client
   * requests.
   */
  readonly partial: StoredPartial | undefined
  /** Called if the handler's 206 does not complete the stored part, so that the client has no response yet. */
  readonly onIncomplete?: ((client: ClientOutput) => void) | undefined
  /** What the application can choose from; the handler is shown no other preferences. */
  readonly varyRules: VaryRules
  /** Whether cookies make no difference, so that the handler gets none. */
  readonly hidesCookies: boolean
  /** Query parameters that make no difference, so that the handler gets none of them. */
  readonly hiddenParameters: ReadonlySet<string>
  /** Whether a response is its client's own where the handler looks at who that is. */
  readonly watchesIdentity: boolean
  /** Whether what the handler gives is to be stored. */
  readonly stores: boolean
  readonly nowMs: () => number
}

/** A client's conditions that a handler is not shown: they are evaluated here. */
const HIDDEN_CONDITIONS = {
  whole: CONDITIONAL_FIELDS,
  head: CONDITIONAL_FIELDS,
  range: CONDITIONAL_FIELDS.filter((name) => name !== 'range' && name !== 'if-range'),
} as const satisfies Record<RunPurpose, readonly string[]>

/** What a response is withheld for, and what the handler said of itself. */
interface Withheld {
  readonly status: number
  readonly fields: Fields
  /** Whether it is the missing part of what is stored, and not what stands for a stored response. */
  readonly isMissingPart: boolean
}

/** The request and the response of a run. */
export interface RunExchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The request as the application sees it, where that is not Node's own object. */
  readonly application: ApplicationRequest | undefined
  /** Whether what runs now is not the handler, but what a framework does with its response. */
  readonly isOutside: (() => boolean) | undefined
  /** Whether the request is known to be somebody's. */
  readonly isAuthorized: boolean
}

/** Fields of a 304 that say nothing about the stored content (RFC 9111, section 3.2). */
const NOT_UPDATED = new Set(['content-length', 'content-encoding', 'content-range'])

/**
 * One run of a handler, whose answer goes to its client as ever, and is stored if it may be. The handler sees a request
 * without the client's conditions, so that it gives all of the response; with the stored one's where there is one to
 * revalidate. The client's own are answered here.
 */
export class HandlerRun implements CaptureObserver {
  /** The response; rejects with `UnstoredError`. */
  readonly outcome: Promise<FreshResponse>
  /** The response as it is being written, for others that ask for the same. */
  readonly live: LiveResponse
  readonly #conditions: RunConditions
  #request!: IncomingMessage
  #response!: ServerResponse
  #isAuthorized = false
  /** What others had set before the handler ran: theirs to set again for the next client. */
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

  constructor(conditions: RunConditions) {
    this.#conditions = conditions
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.outcome.catch(() => {})
    this.live = new LiveResponse(conditions.maxBytes, () => this.#capture?.onUnfollowed())
  }

  /** Captures the response from now on; the handler is to be run next. */
  begin({ request, response, application, isOutside, isAuthorized }: RunExchange): void {
    this.#request = request
    this.#response = response
    this.#isAuthorized = isAuthorized
    const { stale, maxBytes, hidesCookies, hiddenParameters, watchesIdentity } = this.#conditions
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
    if (watchesIdentity) this.#identity = new IdentityWatch(this.#request, application, isOutside)
    this.#capture = new ResponseCapture(this.#response, this, maxBytes)
  }

  /** What the response is stored under. */
  get key(): string {
    return this.#conditions.key
  }

  // A property, so that it can be handed on by itself.
  readonly outside = <Result>(run: () => Result): Result =>
    this.#identity === undefined ? run() : this.#identity.outside(run)

  /**
   * A cache within this one was asked about the same request. Under the same key it leaves the response to this one,
   * which takes over its tags and lifetimes; under another key it answers for itself, and this one stores nothing.
   *
   * @returns whether the response is this one's.
   */
  adopt(key: string, within: Pick<RunConditions, 'defaultSeconds' | 'staleSeconds'>, tags: readonly string[]): boolean {
    if (key !== this.#conditions.key) {
      this.#fail('refused', 'a cache within has another key for it')
      return false
    }
    // What has followed by now knows nothing of the tags.
    this.live.fail('retry')
    this.#adopted = within
    this.#adoptedTags.push(...tags)
    return true
  }

  /** Tags that caches within have for the response. */
  get adoptedTags(): readonly string[] {
    return this.#adoptedTags
  }

  isFollowed(): boolean {
    return this.live.isFollowed
  }

  /** The handler was never run, or its response will not come. */
  onAbort(): void {
    this.#endView()
    this.#fail('aborted', 'it ended before it was whole')
  }

  onPart(part: Buffer): void {
    // A handler that finds out who asks while it writes the body writes the rest for that client alone.
    if (this.#isIdentified && this.#fresh?.lifetimes.isShared !== true) this.live.fail('alone')
    else this.live.push(part)
  }

  onOverflow(): void {
    this.live.overflow()
    this.#reject(new UnstoredError('refused', `it has over ${this.#conditions.maxBytes} bytes`))
  }

  onHead(status: number, fields: Fields): HeadDecision {
    const { stale, directives, nowMs } = this.#conditions
    if (stale !== undefined) {
      const isGood = status >= 500 && isGoodOnError(stale, directives, nowMs())
      if (status === 304 || isGood) {
        this.live.fail('retry')
        this.#withheld = { status, fields, isMissingPart: false }
        return { action: 'withhold', isBodyWanted: false }
      }
    }
    // Without the client's having requested a range, neither 206 nor 416 is a response to it.
    if (this.#missing !== undefined && (status === 206 || status === 416)) {
      this.live.fail('retry')
      this.#withheld = { status, fields, isMissingPart: true }
      return { action: 'withhold', isBodyWanted: status === 206 && hasContentRange(fields) }
    }
    const isBodyWanted = this.#decideStoring(status, fields)
    const { forward } = this.#conditions
    // Said of what will be stored: of a body without a length it is not known yet.
    const stored = isBodyWanted && this.#expectedLength !== undefined
    this.#response.setHeader(
      'Cache-Status',
      cacheStatusField({ hit: false, forward, stored }, lineOf(fields, 'cache-status')),
    )
    const isKnown = isNotModified(this.#clientHeaders, status, fields, nowMs())
    return { action: isKnown ? 'notModified' : 'send', isBodyWanted }
  }

  /** Whether the response is to be stored, as far as its head tells. */
  #decideStoring(status: number, fields: Fields): boolean {
    const { maxBytes, nowMs, stores } = this.#conditions
    if (!stores) return false
    if (this.#conditions.purpose === 'head') return this.#freshenByHead(status, fields)
    const decision = this.#storageOf(status, fields)
    if ('refused' in decision) {
      this.#fail(status >= 500 ? 'failed' : 'refused', decision.refused)
      return false
    }
    const length = lineOf(fields, 'content-length')
    if (Number(length ?? 0) > maxBytes) {
      this.onOverflow()
      return false
    }
    const receivedMs = nowMs()
    const own = Object.entries(fields).filter(
      ([name, value]) => !sameValue(value, this.#before[name]) || POLICY_FIELDS.includes(name),
    )
    const { lifetimes, unstored } = decision
    this.#fresh = {
      status,
      fields: { date: toHttpDate(receivedMs), ...storableFields(Object.fromEntries(own), unstored) },
      removed: Object.keys(this.#before).filter((name) => !Object.hasOwn(fields, name)),
      receivedMs,
      lifetimes,
      names: variedFields(fields, []),
    }
    this.#expectedLength = length
    // What others have begun to get cannot be taken back: where it may yet turn out to be one user's, they wait for all
    // of it.
    const isWhole = status !== 206
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
    if (fresh === undefined || body === undefined) return this.#fail('refused', 'its body was not seen')
    // The handler may have found out late who sent the request, while it wrote the body.
    if (isIdentified && !fresh.lifetimes.isShared) return this.#fail('refused', 'it is for one user')
    if (this.#expectedLength !== undefined && Number(this.#expectedLength) !== body.length) {
      return this.#fail('aborted', `it has ${body.length} bytes, and says ${this.#expectedLength}`)
    }
    if (fresh.status === 206) return this.#endPart(fresh, body)
    this.#beginLive()
    this.live.end()
    this.#resolve({ ...fresh, body })
  }

  /** What the handler gave is a part: it is kept as such, together with what is stored where they touch. */
  #endPart(fresh: Omit<FreshResponse, 'body'>, body: Buffer): void {
    const { partial, maxBytes } = this.#conditions
    const { 'content-range': contentRange, ...fields } = fresh.fields
    const part = contentPartOf({ 'content-range': contentRange ?? '' }, body.length)
    if (part === undefined) return this.#fail('refused', 'its body does not fit its Content-Range')
    this.live.fail('retry')
    const combined = combineParts(partial, { fields, receivedMs: fresh.receivedMs, part, body }, maxBytes)
    const status = combined.part === undefined ? 200 : 206
    this.#resolve({ ...fresh, status, fields, ...combined })
  }

  /** The client gets the stored part and the missing one, which the handler gave, as one response. */
  #sendCompleted({ status, fields }: Withheld, body: Buffer | undefined): void {
    const { partial, maxBytes, nowMs } = this.#conditions
    const part = body === undefined ? undefined : contentPartOf(fields, body.length)
    const fresh = part === undefined ? undefined : { fields, receivedMs: nowMs(), part, body: body! }
    const whole = fresh === undefined ? undefined : combineParts(partial, fresh, maxBytes)
    if (whole === undefined || whole.part !== undefined) {
      this.#fail('refused', 'its handler does not give the missing part of the stored version')
      this.#restoreFields()
      this.#conditions.onIncomplete?.(this.#capture!.takeOver())
      return
    }
    const { kind: _, part: __, ...told } = partial!
    const base: StoredResponse = {
      ...told,
      kind: 'response',
      status: 200,
      compression: 'none',
      ...whole,
      length: whole.body.length,
    }
    this.#answerInstead(this.#freshen(base, fields, whole.body), whole.body, { status, fields })
  }

  #storageOf(status: number, fields: Fields) {
    const { nowMs, targetedFields, allowsHeuristics } = this.#conditions
    const { defaultSeconds, staleSeconds } = this.#adopted ?? this.#conditions
    const conditions = {
      defaultSeconds,
      allowsHeuristics,
      staleSeconds,
      targetedFields,
      isAuthorized: this.#isAuthorized || this.#isIdentified,
      isRange: this.#conditions.purpose === 'range',
    }
    return storageOf({ status, fields, receivedMs: nowMs() }, conditions)
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

  /** The handler said that the stored response is still right, or it failed: the client gets the stored one. */
  #sendInstead({ status, fields }: Withheld): void {
    const { stale } = this.#conditions
    const { body } = stale!
    const kept = status === 304 ? this.#freshen(stale!, fields, body) : stale!
    if (status !== 304) this.#fail('failed', `status ${status}`)
    this.#answerInstead(kept, body, { status, fields })
  }

  /** Takes away what the handler has set. */
  #restoreFields(): void {
    const response = this.#response
    for (const name of response.getHeaderNames()) response.removeHeader(name)
    for (const [name, value] of Object.entries(this.#before)) response.setHeader(name, value)
  }

  /** Sends the client a response in place of the handler's. */
  #answerInstead(kept: StoredResponse, body: Buffer, { status, fields }: Pick<Withheld, 'status' | 'fields'>): void {
    const { nowMs } = this.#conditions
    const response = this.#response
    this.#restoreFields()
    const isGood = status < 400
    // A cookie is this client's own, and never part of what is stored.
    if (isGood && fields['set-cookie'] !== undefined) response.setHeader('Set-Cookie', fields['set-cookie'])
    const about: CacheStatus = {
      hit: false,
      forward: this.#conditions.forward,
      forwardStatus: status,
      ttlSeconds: remainingSeconds(kept, nowMs()),
      stored: this.#conditions.stores && isGood,
    }
    sendStored(response, kept, body, {
      headers: this.#clientHeaders,
      isHead: this.#conditions.purpose === 'head',
      cacheStatus: cacheStatusField(about),
      nowMs: nowMs(),
      send: (status, body) => this.#capture!.replace(status, body),
    })
  }

  /** A HEAD of the same version tells how long what is stored is fresh (RFC 9111, section 4.3.5). */
  #freshenByHead(status: number, fields: Fields): false {
    const { stale } = this.#conditions
    if (stale !== undefined && status === stale.status && isHeadOf(fields, stale))
      this.#freshen(stale, fields, stale.body)
    else this.#fail('refused', 'its head is not of what is stored')
    return false
  }

  /** The stored response with what a 304, or the head of the same version, says of it (RFC 9111, section 4.3.4). */
  #freshen(stale: StoredResponse, fields: Fields, body: Buffer): StoredResponse {
    const receivedMs = this.#conditions.nowMs()
    const told = Object.entries(storableFields(fields, [])).filter(
      ([name, value]) => !NOT_UPDATED.has(name) && !sameValue(value, this.#before[name]),
    )
    const updated: Fields = { ...stale.fields, date: toHttpDate(receivedMs), ...Object.fromEntries(told) }
    const evaluated: Fields = { ...this.#before, ...updated }
    // What is about this very answer counts as it came, or not at all.
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
    const { status, removed } = stale
    const stored = { status, fields: storableFields(updated, unstored), removed, receivedMs, lifetimes }
    this.#resolve({ ...stored, names: variedFields(evaluated, []), body })
    return { ...stale, ...stored }
  }
}

/**
 * Whether a response to HEAD is of the stored version, as far as it tells: by a validator of the stored one, and its
 * length.
 */
function isHeadOf(fields: Fields, stored: StoredResponse): boolean {
  const length = lineOf(fields, 'content-length')
  if (length !== undefined && Number(length) !== stored.length) return false
  const validators = ['etag', 'last-modified'].filter((name) => stored.fields[name] !== undefined)
  return validators.length > 0 && validators.every((name) => lineOf(fields, name) === lineOf(stored.fields, name))
}
