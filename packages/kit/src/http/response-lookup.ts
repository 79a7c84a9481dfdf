import type { IncomingMessage, ServerResponse } from 'node:http'
import { ownKeyText } from '../engine/engine.ts'
import type { CacheEngine, Freshness, LoadContext } from '../engine/engine.ts'
import type { RunPurpose } from './capture/handler-run.ts'
import type { ForwardReason } from './cache-status.ts'
import type { KnownContent, RequestContent } from './content/request-content.ts'
import type { RequestDirectives } from './policy/request-directives.ts'
import { requestKey } from './policy/request-key.ts'
import type { RequestTarget } from './policy/request-key.ts'
import type { RequestFacts } from './request-functions.ts'
import { freshnessOf } from './policy/freshness.ts'
import { preferredLanguage } from './policy/preferences.ts'
import { lineOf } from './fields.ts'
import type { ResolvedResponseCache } from './response-cache-options.ts'
import type { DecodedRecords } from './records/decoded-records.ts'
import type { StoredPartial, StoredRecord, StoredResponse } from './records/stored-record.ts'
import type { SearchRule } from './policy/no-vary-search.ts'
import type { VaryRules } from './policy/vary.ts'
import { variantOf } from './policy/vary.ts'
import { byteRangeWithin, isSingleRange } from './policy/byte-ranges.ts'
import { sentValidators } from './send-stored.ts'

/**
 * A request to a server of `node:http` and its response, as an adapter passes them to the cache. Fields that other
 * middleware has set must already be on the response: they are not stored, and are sent with a stored response.
 */
export interface HttpExchange extends RequestTarget, Pick<RequestFacts, 'fault'> {
  readonly response: ServerResponse
  /** The tags of the response, for `cache.invalidateTags`, besides `url:<path>`. */
  readonly tags?: readonly string[] | undefined
  /** Reads the content of the request so that the handler can read it again. Default: from the stream of `node:http`. */
  readonly readContent?: ((maxBytes: number) => Promise<RequestContent>) | undefined
  /** Whether the code that runs now is the framework's, and not the handler's. Default: never. */
  readonly isOutside?: (() => boolean) | undefined
  /** Delays the response until work is done. Default: by holding what `node:http` or `node:http2` sends. */
  readonly defer?: ((work: Promise<unknown>) => void) | undefined
  /** Runs a background request through the application, to revalidate a response that clients are served stale. */
  readonly dispatch: (request: IncomingMessage, response: ServerResponse) => void
}

/** The lookup of a stored response for a request. */
export interface ResponseLookup {
  /** The engine of the cache that stores the response. */
  readonly engine: CacheEngine
  readonly exchange: HttpExchange
  /** The full key. */
  readonly key: string
  /** The name that memcached stores the response under. */
  readonly name: string
  /** For a variant: the list of variants that selected it, and the key of this list. */
  readonly variants:
    | { readonly key: string; readonly name: string; readonly id: string; readonly names: readonly string[] }
    | undefined
  /** The content of a QUERY, which is part of the key. */
  readonly content: KnownContent | undefined
  readonly directives: RequestDirectives
  /** The purpose of a handler run if no stored response can be used. */
  readonly purpose: RunPurpose
  /** Whether the user of the request is identified by a part of the request that is not in the key. */
  readonly isAuthorized: boolean
  readonly tagKeys: readonly string[]
  readonly varyRules: VaryRules
  /** The `No-Vary-Search` rule of an earlier response of the path; part of the key. */
  readonly searchRule: SearchRule | undefined
  /** The time when the request arrived, by `performance.now()`. */
  readonly startedMs: number
}

type VariantList = Extract<StoredRecord, { kind: 'variants' }>

/** Returns the lookup for the variant that its request selects. */
export function variantLookup(lookup: ResponseLookup, list: VariantList): ResponseLookup {
  const { names } = list
  const key = variantKey(lookup, list)
  return {
    ...lookup,
    key,
    name: lookup.engine.storedKey(key),
    variants: { key: lookup.key, name: lookup.name, id: list.id, names },
  }
}

/**
 * Returns the key of a variant.
 *
 * @param language the language of the response, in place of the client's preferences.
 */
export function variantKey(
  { key, exchange, varyRules }: ResponseLookup,
  { id, names }: Pick<VariantList, 'id' | 'names'>,
  language?: string,
): string {
  const rules = language === undefined ? varyRules : { ...varyRules, language }
  return `${key}:${id}:${variantOf(names, exchange.request.headers, rules)}`
}

/** Returns the name of a key for requests of known users only. */
export function authorizedName({ name }: ResponseLookup): string {
  return `${name} authorized`
}

/** Returns the stored response that a load revalidates or replaces. */
export function staleOf(
  records: DecodedRecords,
  { stale }: LoadContext,
  lookup: ResponseLookup,
): StoredResponse | StoredPartial | undefined {
  const record = stale === undefined ? undefined : records.decode(stale, lookup.key)
  if (record?.kind !== 'response' && record?.kind !== 'partial') return undefined
  return isValidatorFor(record, lookup) ? record : undefined
}

/**
 * Returns whether the validators of a stored response may be sent with a request. The response for a known user may
 * have the same validators as an anonymous response, and another body.
 */
export function isValidatorFor(
  { lifetimes }: Pick<StoredResponse, 'lifetimes'>,
  { isAuthorized }: ResponseLookup,
): boolean {
  return !isAuthorized || lifetimes.isShared
}

/** Returns why a request is forwarded to the handler. */
export function forwardReason(
  { variants }: Pick<ResponseLookup, 'variants'>,
  found: StoredRecord | undefined,
): ForwardReason {
  if (found?.kind === 'partial') return 'partial'
  if (found?.kind === 'response') return 'stale'
  return variants === undefined ? 'uri-miss' : 'vary-miss'
}

/** Returns the purpose of a handler run for a request if no stored response can be used. */
export function purposeOf({ method, headers }: IncomingMessage): RunPurpose {
  if (method === 'HEAD') return 'head'
  return isSingleRange(headers) ? 'range' : 'whole'
}

/**
 * Returns whether the response to a HEAD or to a request for a range may be captured: a HEAD may freshen the stored
 * response, and a range may be stored, or combined with a stored part. A whole response is not replaced by a part.
 */
export function mayLoad({ purpose, exchange }: ResponseLookup, found: StoredRecord | undefined): boolean {
  if (purpose === 'head') return found?.kind === 'response'
  return purpose === 'range' && exchange.request.method === 'GET' && (found === undefined || found.kind === 'partial')
}

export function isSendable(record: StoredRecord | undefined): record is StoredResponse | StoredPartial {
  return record?.kind === 'response' || record?.kind === 'partial'
}

function hasRangeOf({ request, response }: HttpExchange, { part, length, fields, removed }: StoredPartial): boolean {
  const validators = sentValidators(response, { fields, removed })
  return byteRangeWithin(request.headers, validators, { ...part, length }) !== undefined
}

/** Returns the stored response that could not be used, if its validators may be sent with this request. */
export function validatorOf(
  records: DecodedRecords,
  unusable: unknown,
  lookup: ResponseLookup,
): StoredResponse | undefined {
  const record = unusable === undefined ? undefined : records.decode(unusable, lookup.key)
  return record?.kind === 'response' && isValidatorFor(record, lookup) ? record : undefined
}

/** Returns the full key of a response: the key of the request, and the fields that the option `vary` names. */
export function responseKey(
  exchange: HttpExchange,
  { vary, varyRules, rules }: ResolvedResponseCache,
  searchRule: SearchRule | undefined,
): string {
  const parts = requestKey(exchange, rules, searchRule)
  const fields = exchange.request.headers
  return ownKeyText('http', vary.length === 0 ? parts : [...parts, variantOf(vary, fields, varyRules)])
}

/** Returns how a stored record can be used for a lookup. */
export function freshnessFor(record: StoredRecord, lookup: ResponseLookup, nowMs: number): Freshness {
  const { directives, isAuthorized, purpose, exchange } = lookup
  // The variants that a list names have no list themselves.
  if (record.kind === 'variants') return lookup.variants === undefined ? 'fresh' : 'unusable'
  if (record.kind === 'pass') return nowMs < record.untilMs ? 'fresh' : 'unusable'
  if (isAuthorized && !record.lifetimes.isShared) return 'unusable'
  const freshness = freshnessOf(record, directives, nowMs)
  if (record.kind === 'partial') {
    const isOfUse = purpose === 'range' && freshness === 'fresh' && hasRangeOf(exchange, record)
    return isOfUse ? 'fresh' : 'unusable'
  }
  // A request that cannot be repeated cannot be revalidated in the background.
  if (freshness === 'stale' && lookup.content?.kind === 'parsed') return 'unusable'
  return freshness === 'fresh' || freshness === 'stale' ? freshness : 'unusable'
}

/** Returns the stored record for a lookup, and the lookup of its variant if responses vary. Takes no lease. */
export async function findStored(
  records: DecodedRecords,
  lookup: ResponseLookup,
): Promise<{ readonly record: StoredRecord | undefined; readonly lookup: ResponseLookup }> {
  const record = records.decode(await lookup.engine.get(lookup.name, [], { pastEnd: true }), lookup.key)
  if (record?.kind === 'variants' && lookup.variants === undefined)
    return findStored(records, variantLookup(lookup, record))
  return { record, lookup }
}

/** Returns a fresh response in the language that the client prefers to all others. Takes no lease. */
export async function findByLanguage(
  lookup: ResponseLookup,
  { records, list, nowMs }: { records: DecodedRecords; list: VariantList; nowMs: number },
): Promise<StoredResponse | undefined> {
  const { engine, varyRules } = lookup
  const { languages } = varyRules
  if (languages === undefined || !list.names.includes('accept-language')) return undefined
  const language = preferredLanguage(lineOf(lookup.exchange.request.headers, 'accept-language'))
  if (language === undefined || !languages.includes(language)) return undefined
  const key = variantKey(lookup, list, language)
  const record = records.decode(await engine.get(engine.storedKey(key), []), key)
  return record?.kind === 'response' && freshnessFor(record, lookup, nowMs) === 'fresh' ? record : undefined
}

/** The part of an Express application that holds its settings. */
interface ExpressSettings {
  get(name: string): unknown
}

/**
 * Returns whether an Express application trusts the other end of a connection, by its address, as a proxy. The setting
 * `true` trusts every client, so it does not count.
 */
export function trustsExpressProxy(app: ExpressSettings, address: string | undefined): boolean {
  const trusts = app.get('trust proxy fn') as ((address: string | undefined, hop: number) => boolean) | undefined
  return app.get('trust proxy') !== true && trusts?.(address, 0) === true
}

/** The part of a request of Fastify that has the addresses of its proxies. */
interface FastifyRequest {
  readonly raw: IncomingMessage
  /** The addresses up to the first one that is not trusted; `undefined` without the option `trustProxy`. */
  readonly ips?: readonly string[] | undefined
}

/** Addresses of documentation (RFC 5737), which are no proxies. */
const NO_PROXIES = Array.from({ length: 8 }, (_, index) => `192.0.2.${index + 1}`)

/**
 * Returns whether a Fastify application trusts the other end of a connection as a proxy. An application that trusts
 * every client (`trustProxy: true`) does not count.
 */
export function trustsFastifyProxy(request: FastifyRequest): boolean {
  if (request.ips === undefined) return false
  const { socket } = request.raw
  // Fastify does not expose its option, so the addresses of an artificial request on the same connection are read.
  const raw = { headers: { 'x-forwarded-for': NO_PROXIES.join(', ') }, socket, connection: socket }
  const { ips = [] } = Object.create(request, { raw: { value: raw } }) as FastifyRequest
  return ips.length > 1 && ips.length <= NO_PROXIES.length
}
