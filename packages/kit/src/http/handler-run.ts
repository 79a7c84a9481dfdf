import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { cacheStatusField } from './cache-status.ts'
import type { CacheStatus, ForwardReason } from './cache-status.ts'
import { CONDITIONAL_FIELDS, isNotModified } from './conditional.ts'
import { lineOf, sameValue, storableFields, toFields } from './fields.ts'
import type { Fields } from './fields.ts'
import { toHttpDate } from './http-date.ts'
import type { RequestDirectives } from './request-directives.ts'
import { ResponseCapture } from './response-capture.ts'
import type { CaptureObserver, HeadAction } from './response-capture.ts'
import { judgeResponse, POLICY_FIELDS } from './response-policy.ts'
import type { Lifetimes, PolicyConditions } from './response-policy.ts'
import { isGoodOnError, remainingSeconds } from './reuse.ts'
import { sendStored } from './send-stored.ts'
import { unpackBody } from './stored-record.ts'
import type { StoredResponse } from './stored-record.ts'
import { variedFields } from './vary.ts'

/** A response that may be stored, as the handler gave it. */
export interface FreshResponse {
  readonly status: number
  readonly fields: Fields
  readonly receivedMs: number
  readonly lifetimes: Lifetimes
  /** The request fields that it was selected by. */
  readonly names: readonly string[]
  readonly body: Buffer
}

/** Why a handler's answer is not stored, and is nobody's but its own client's. */
export class UnstoredError extends Error {
  /** `aborted`: there is no whole answer, so that another has to find out; `failed`: an error, which must not last; `refused`: it cannot be stored. */
  readonly reason: 'aborted' | 'failed' | 'refused'
  /** The old response that may be served instead. */
  readonly stale: StoredResponse | undefined

  constructor(reason: UnstoredError['reason'], detail: string, stale?: StoredResponse) {
    super(`the response is not stored: ${detail}`)
    this.reason = reason
    this.stale = stale
  }
}

/** How a handler is run. */
export interface RunConditions extends PolicyConditions {
  readonly directives: RequestDirectives
  readonly forward: ForwardReason
  readonly maxBytes: number
  /** The stored response that this run is to revalidate or replace. */
  readonly stale: StoredResponse | undefined
  /** Whether cookies make no difference, so that the handler gets none. */
  readonly dropsCookies: boolean
  /** Whether what the handler gives is to be stored. */
  readonly stores: boolean
  readonly nowMs: () => number
}

/** Fields of a 304 that say nothing about the stored content (RFC 9111, section 3.2). */
const NOT_UPDATED = new Set(['content-length', 'content-encoding', 'content-range'])

/**
 * One run of a handler, whose answer goes to its client as ever, and is stored if it may be. The handler sees a request without the
 * client's conditions, so that it gives all of the response; with the stored one's where there is one to revalidate. The
 * client's own are answered here.
 */
export class HandlerRun implements CaptureObserver {
  /** The response; rejects with `UnstoredError`. */
  readonly outcome: Promise<FreshResponse>
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #conditions: RunConditions
  readonly #clientHeaders: IncomingHttpHeaders
  /** What others had set before the handler ran: theirs to set again for the next client. */
  #before: Fields = {}
  #capture: ResponseCapture | undefined
  #resolve!: (response: FreshResponse) => void
  #reject!: (error: UnstoredError) => void
  #fresh: Omit<FreshResponse, 'body'> | undefined
  #expectedLength: string | undefined
  #withheld: { status: number; fields: Fields } | undefined

  constructor(request: IncomingMessage, response: ServerResponse, conditions: RunConditions) {
    this.#request = request
    this.#response = response
    this.#conditions = conditions
    this.#clientHeaders = request.headers
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.outcome.catch(() => {})
  }

  /** Looks on from now on; the handler is to be run next. */
  begin(): void {
    const { stale, maxBytes, dropsCookies } = this.#conditions
    this.#before = toFields(this.#response.getHeaders())
    const headers = { ...this.#clientHeaders }
    for (const name of CONDITIONAL_FIELDS) delete headers[name]
    if (dropsCookies) delete headers.cookie
    const etag = stale && lineOf(stale.fields, 'etag')
    const modified = stale && lineOf(stale.fields, 'last-modified')
    if (etag !== undefined) headers['if-none-match'] = etag
    if (modified !== undefined) headers['if-modified-since'] = modified
    this.#request.headers = headers
    this.#capture = new ResponseCapture(this.#response, this, maxBytes)
  }

  /** The handler was never run, or its answer will not come. */
  onAbort(): void {
    this.#fail('aborted', 'it ended before it was whole')
  }

  onOverflow(): void {
    this.#fail('refused', `it has over ${this.#conditions.maxBytes} bytes`)
  }

  onHead(status: number, fields: Fields): HeadAction {
    this.#request.headers = this.#clientHeaders
    const { stale, stores, directives, forward, nowMs } = this.#conditions
    if (stale !== undefined) {
      const isGood = status >= 500 && isGoodOnError(stale, directives, nowMs())
      if (status === 304 || isGood) {
        this.#withheld = { status, fields }
        return 'withhold'
      }
    }
    const verdict = this.#judge(status, fields)
    this.#response.setHeader(
      'Cache-Status',
      cacheStatusField(
        { hit: false, forward, stored: stores && 'lifetimes' in verdict },
        lineOf(fields, 'cache-status'),
      ),
    )
    return isNotModified(this.#clientHeaders, status, fields, nowMs()) ? 'notModified' : 'send'
  }

  onHeadDone(status: number, fields: Fields): boolean {
    if (this.#withheld !== undefined || !this.#conditions.stores) return false
    const verdict = this.#judge(status, fields)
    if ('refused' in verdict) {
      this.#fail(status >= 500 ? 'failed' : 'refused', verdict.refused)
      return false
    }
    const { maxBytes, nowMs } = this.#conditions
    if (Number(lineOf(fields, 'content-length') ?? 0) > maxBytes) {
      this.onOverflow()
      return false
    }
    const receivedMs = nowMs()
    const own = Object.entries(fields).filter(
      ([name, value]) => !sameValue(value, this.#before[name]) || POLICY_FIELDS.includes(name),
    )
    const { lifetimes, unstored } = verdict
    this.#fresh = {
      status,
      fields: { date: toHttpDate(receivedMs), ...storableFields(Object.fromEntries(own), unstored) },
      receivedMs,
      lifetimes,
      names: variedFields(fields, []),
    }
    this.#expectedLength = lineOf(fields, 'content-length')
    return true
  }

  onEnd(body: Buffer | undefined): void {
    if (this.#withheld !== undefined) {
      this.#sendInstead(this.#withheld).catch((error: unknown) => this.#response.destroy(error as Error))
      return
    }
    const fresh = this.#fresh
    if (fresh === undefined || body === undefined) return this.#fail('refused', 'its body was not seen')
    if (this.#expectedLength !== undefined && Number(this.#expectedLength) !== body.length) {
      return this.#fail('aborted', `it has ${body.length} bytes, and says ${this.#expectedLength}`)
    }
    this.#resolve({ ...fresh, body })
  }

  #judge(status: number, fields: Fields) {
    return judgeResponse({ status, fields, receivedMs: this.#conditions.nowMs() }, this.#conditions)
  }

  #fail(reason: UnstoredError['reason'], detail: string): void {
    this.#reject(new UnstoredError(reason, detail, reason === 'failed' ? this.#conditions.stale : undefined))
  }

  /** The handler said that the stored response is still right, or it failed: the client gets the stored one. */
  async #sendInstead({ status, fields }: { status: number; fields: Fields }): Promise<void> {
    const { stale, nowMs } = this.#conditions
    const body = await unpackBody(stale!)
    const kept = status === 304 ? this.#freshen(stale!, fields, body) : stale!
    if (status !== 304) this.#fail('failed', `status ${status}`)
    const response = this.#response
    for (const name of response.getHeaderNames()) response.removeHeader(name)
    for (const [name, value] of Object.entries(this.#before)) response.setHeader(name, value)
    // A cookie is this client's own, and never part of what is stored.
    if (status === 304 && fields['set-cookie'] !== undefined) response.setHeader('Set-Cookie', fields['set-cookie'])
    const about: CacheStatus = {
      hit: false,
      forward: this.#conditions.forward,
      forwardStatus: status,
      ttlSeconds: remainingSeconds(kept, nowMs()),
      stored: this.#conditions.stores && status === 304,
    }
    sendStored(response, kept, body, {
      headers: this.#clientHeaders,
      isHead: false,
      cacheStatus: cacheStatusField(about),
      nowMs: nowMs(),
      send: (status, body) => this.#capture!.replace(status, body),
    })
  }

  /** The stored response with what a 304 says of it (RFC 9111, section 4.3.4). */
  #freshen(stale: StoredResponse, fields: Fields, body: Buffer): StoredResponse {
    const receivedMs = this.#conditions.nowMs()
    const told = Object.entries(storableFields(fields, [])).filter(
      ([name, value]) => !NOT_UPDATED.has(name) && !sameValue(value, this.#before[name]),
    )
    const updated: Fields = { ...stale.fields, date: toHttpDate(receivedMs), ...Object.fromEntries(told) }
    const judged: Fields = { ...this.#before, ...updated }
    // What is about this very answer counts as it came, or not at all.
    for (const name of ['age', 'date', 'set-cookie']) {
      const value = fields[name]
      if (value === undefined) delete judged[name]
      else judged[name] = value
    }
    const verdict = this.#judge(stale.status, judged)
    if ('refused' in verdict) {
      this.#fail('refused', verdict.refused)
      return { ...stale, fields: updated }
    }
    const { lifetimes, unstored } = verdict
    const stored = { status: stale.status, fields: storableFields(updated, unstored), receivedMs, lifetimes }
    this.#resolve({ ...stored, names: variedFields(judged, []), body })
    return { ...stale, ...stored }
  }
}
