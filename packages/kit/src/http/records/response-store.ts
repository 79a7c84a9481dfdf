import { randomBytes } from 'node:crypto'
import { secondsToTtl } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { LoadContext } from '../../engine/engine.ts'
import { lineOf, listOf } from '../fields.ts'
import { PASS_SECONDS } from '../calls-under-way.ts'
import { variantKey } from '../response-lookup.ts'
import type { ResponseLookup } from '../response-lookup.ts'
import { KEPT_STALE_SECONDS } from '../response-cache-options.ts'
import { freshSecondsLeft } from '../policy/freshness.ts'
import { MAX_VARIED_FIELDS } from '../policy/vary.ts'
import { encodeRecord, packBody } from './stored-record.ts'
import type { FreshResponse, StoredPartial, StoredResponse } from './stored-record.ts'

/** The lifetime of a list of variants: the longest relative lifetime of memcached. */
const VARIANTS_TTL: Ttl = '30d'
/**
 * The margin in the lifetime of an item: the clock ticks of memcached and of this process differ, and a response must
 * become stale by its own metadata first.
 */
const GRAIN_SECONDS = 1

/**
 * Stores responses under the lease that their handler was run with. If a response varies, the list of fields is stored
 * under the lease, and the response under a key with the list's id, which is unknown to others if the list is refused.
 */
export class ResponseStore {
  readonly #nowMs: () => number
  /** The fields that are already part of every key. */
  readonly #vary: readonly string[]

  constructor(vary: readonly string[], nowMs: () => number) {
    this.#vary = vary
    this.#nowMs = nowMs
  }

  async response(lookup: ResponseLookup, fresh: FreshResponse, context: LoadContext): Promise<Buffer> {
    const { engine, key, variants, tagKeys } = lookup
    const { status, reason, fields, appended, removed, receivedMs, lifetimes } = fresh
    const packed = await packBody(fields, fresh.body)
    const head = { key, status, reason, fields, appended, removed, receivedMs, lifetimes, ...packed }
    const { part } = fresh
    const stored: StoredResponse | StoredPartial =
      part === undefined ? { kind: 'response', ...head } : { kind: 'partial', ...head, part }
    const seconds = freshSecondsLeft(lifetimes) + GRAIN_SECONDS
    const known = variants?.names ?? []
    if (variants !== undefined) await this.#storeByLanguage({ ...lookup, key: variants.key }, variants, stored)
    const names = fresh.names.filter((name) => !this.#vary.includes(name))
    if (names.every((name) => known.includes(name))) {
      context.setTtlSeconds(secondsToTtl(seconds))
      return encodeRecord(stored)
    }
    const all = [...new Set([...known, ...names])].sort()
    if (all.length > MAX_VARIED_FIELDS) return this.pass(lookup, context, PASS_SECONDS)
    const id = randomBytes(12).toString('base64url')
    const list = encodeRecord({ kind: 'variants', key: variants?.key ?? key, names: all, id })
    if (variants !== undefined) {
      // The lease belongs to a variant; a response that varies by more fields has another key, which the next request
      // finds by the new list.
      await engine.set(variants.name, { value: list, ttlSeconds: VARIANTS_TTL, tagKeys })
      return this.pass(lookup, context, GRAIN_SECONDS)
    }
    const own = variantKey(lookup, { id, names: all })
    const kept = secondsToTtl(seconds + KEPT_STALE_SECONDS)
    await engine.set(engine.storedKey(own), { value: encodeRecord({ ...stored, key: own }), ttlSeconds: kept, tagKeys })
    await this.#storeByLanguage(lookup, { id, names: all }, stored)
    context.setTtlSeconds(VARIANTS_TTL)
    return list
  }

  /** Also stores a response for clients that prefer its language, with any other accepted languages. */
  async #storeByLanguage(
    lookup: ResponseLookup,
    list: { readonly id: string; readonly names: readonly string[] },
    stored: StoredResponse | StoredPartial,
  ): Promise<void> {
    const languages = listOf(lineOf(stored.fields, 'content-language'))
    const isOneOf = languages.length === 1 && lookup.varyRules.languages?.includes(languages[0]!) === true
    if (!isOneOf || stored.kind !== 'response' || !list.names.includes('accept-language')) return
    const { engine } = lookup
    const key = variantKey(lookup, list, languages[0])
    const seconds = freshSecondsLeft(stored.lifetimes)
    if (seconds > 0) {
      await engine.set(engine.storedKey(key), {
        value: encodeRecord({ ...stored, key }),
        ttlSeconds: secondsToTtl(seconds),
        tagKeys: lookup.tagKeys,
      })
    }
  }

  /** Returns a hit-for-pass record: requests do not wait for each other for this time. */
  pass({ key }: ResponseLookup, context: LoadContext, seconds: number): Buffer {
    context.setTtlSeconds(seconds)
    return encodeRecord({ kind: 'pass', key, untilMs: this.#nowMs() + seconds * 1000 })
  }
}
