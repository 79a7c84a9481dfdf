import { MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { Memcache } from '../memcache.ts'
import type { KeyRules } from './policy/request-key.ts'
import type { VaryRules } from './policy/vary.ts'

/** Options of the response cache, which its adapters have in common. */
export interface ResponseCacheOptions {
  /**
   * How long a response is fresh that does not say so itself (`Cache-Control`, `Expires`). Default: by what it says,
   * and where it has a `Last-Modified`, a tenth of its age.
   */
  ttlSeconds?: Ttl | undefined
  /**
   * How long past that a response may be served that does not say so itself: while one process loads it anew, and when
   * that fails. Default 0; a day at most.
   */
  staleSeconds?: Ttl | undefined
  /** Request fields that responses depend on, besides those that their `Vary` names. */
  vary?: readonly string[] | undefined
  /**
   * The languages that the application has, as `['en', 'de']`: what else a request accepts makes no difference, and is
   * not shown to the handler. A client is served a stored response in the language that it prefers
   * (`Content-Language`). Default: each `Accept-Language` by itself.
   */
  languages?: readonly string[] | undefined
  /**
   * The content codings that the application applies, as `['br', 'gzip']`: what else a request accepts makes no
   * difference, and is not shown to the handler.
   */
  encodings?: readonly string[] | undefined
  /** The hosts that are answered from the cache, as in `Host`. Default: any, each by itself. */
  hosts?: readonly string[] | undefined
  /** Bodies over this are not stored, but sent as ever. Default 5 000 000. */
  maxBytes?: number | undefined
  /** Whether the order of query parameters makes no difference. Default false. */
  sortQuery?: boolean | undefined
  /** Query parameters that make no difference, as `utm_source`. */
  ignoreQuery?: readonly string[] | undefined
  /**
   * Cookies that make no difference, or `true` for all: the handler gets none of them. Default: a request with cookies
   * is not answered from the cache.
   */
  ignoreCookies?: boolean | readonly string[] | undefined
  /**
   * Whether what is stored can be purged by wildcards, as `purge('/cities/*')`: each directory of a path is then a tag,
   * of which the first eight count, and the generation of each is read for a hit. Default false.
   */
  wildcards?: boolean | undefined
  /**
   * Whether the response to a POST is stored for the GETs of the same URL, if it says how long it is fresh and its
   * `Content-Location` is that URL (RFC 9110, section 9.3.3). Default false.
   */
  storePost?: boolean | undefined
  /** Whether clients may ask for newer responses by `Cache-Control: no-cache`, `max-age` and the like. Default true. */
  requestDirectives?: boolean | undefined
  /**
   * Response fields that stand in place of `Cache-Control` and `Expires` for this cache, the most specific first (RFC
   * 9213). Default `['Memcache-Cache-Control', 'CDN-Cache-Control']`.
   */
  targetedFields?: readonly string[] | undefined
  /**
   * Whether fresh responses are kept in the memory of the process too, if the cache has an `l1`: a hit then needs no
   * round trip, and an invalidation by another process takes effect within a second. Default false.
   */
  l1?: boolean | undefined
  /** The cache that they lie in. Default: this process's. */
  cache?: Memcache | undefined
}

export const RESPONSE_CACHE_OPTIONS = [
  'ttlSeconds',
  'staleSeconds',
  'vary',
  'languages',
  'encodings',
  'hosts',
  'maxBytes',
  'sortQuery',
  'ignoreQuery',
  'ignoreCookies',
  'wildcards',
  'storePost',
  'requestDirectives',
  'targetedFields',
  'l1',
  'cache',
] as const satisfies readonly (keyof ResponseCacheOptions)[]

/** What people write who come from other caches, and what it is called here. */
export const RESPONSE_CACHE_HINTS: Readonly<Record<string, string>> = {
  ttl: 'ttlSeconds',
  maxAge: 'ttlSeconds',
  duration: 'ttlSeconds',
  staleWhileRevalidate: 'staleSeconds',
  staleIfError: 'staleSeconds',
  grace: 'staleSeconds',
  keyGenerator: 'key',
  cacheKey: 'key',
  appendKey: 'key',
  toggle: 'condition',
  skip: 'condition',
  maxSize: 'maxBytes',
  headers: 'vary',
  memory: 'l1',
}

/**
 * How long past its freshness a response is kept: to be revalidated, and for `staleSeconds` and what a response says
 * instead.
 */
export const KEPT_STALE_SECONDS = 86_400
/** A lifetime that nobody sees the end of, and that is a number in JSON. */
const MAX_SECONDS = 2 ** 31
const DEFAULT_TARGETED_FIELDS = ['Memcache-Cache-Control', 'CDN-Cache-Control']
const DEFAULT_MAX_BYTES = 5_000_000

/** The options with their defaults. */
export interface ResolvedResponseCache {
  readonly defaultSeconds: number | undefined
  readonly staleSeconds: number
  readonly targetedFields: readonly string[]
  readonly vary: readonly string[]
  readonly maxBytes: number
  readonly hasWildcards: boolean
  readonly usesMemory: boolean
  readonly storesPost: boolean
  readonly honoursRequests: boolean
  readonly varyRules: VaryRules
  readonly rules: KeyRules
}

/** @throws MemcacheOptionError for a value that cannot be. */
export function resolveResponseCache(options: ResponseCacheOptions): ResolvedResponseCache {
  const { ttlSeconds, staleSeconds = 0, vary = [], hosts, maxBytes = DEFAULT_MAX_BYTES } = options
  const { sortQuery = false, ignoreQuery = [], ignoreCookies = false, requestDirectives = true } = options
  const { wildcards = false, storePost = false, l1 = false } = options
  const { targetedFields = DEFAULT_TARGETED_FIELDS, languages, encodings } = options
  if (!(maxBytes > 0)) throw new MemcacheOptionError(`maxBytes must be over 0, got ${maxBytes}`)
  const stale = staleSeconds === 0 ? 0 : ttlToSeconds(staleSeconds, 'staleSeconds')
  if (stale > KEPT_STALE_SECONDS) throw new MemcacheOptionError('staleSeconds must be a day at most')
  if (hosts?.length === 0) throw new MemcacheOptionError('hosts must not be empty: no request could be answered')
  if (vary.includes('*'))
    throw new MemcacheOptionError("vary must name request fields: '*' would be none that is ever the same")
  return {
    defaultSeconds: ttlSeconds === undefined ? undefined : Math.min(MAX_SECONDS, ttlToSeconds(ttlSeconds)),
    staleSeconds: stale,
    targetedFields: targetedFields.map((name) => name.toLowerCase()),
    vary: vary.map((name) => name.toLowerCase()).sort(),
    maxBytes,
    hasWildcards: wildcards,
    usesMemory: l1,
    storesPost: storePost,
    honoursRequests: requestDirectives,
    varyRules: { languages: lowerCase('languages', languages), encodings: lowerCase('encodings', encodings) },
    rules: {
      hosts: hosts === undefined ? undefined : new Set(hosts.map((host) => host.toLowerCase())),
      sortQuery,
      ignoreQuery: new Set(ignoreQuery),
      ignoreCookies: ignoreCookies === true ? true : new Set(ignoreCookies === false ? [] : ignoreCookies),
    },
  }
}

/** @throws MemcacheOptionError unless it is a list of tokens. */
function lowerCase(option: string, names: readonly string[] | undefined): readonly string[] | undefined {
  if (names === undefined) return undefined
  const isList = Array.isArray(names) && names.length > 0
  if (!isList || !names.every((name) => typeof name === 'string' && /^[\w-]+$/.test(name)))
    throw new MemcacheOptionError(`${option} must be a list of names, got ${JSON.stringify(names)}`)
  return names.map((name) => name.toLowerCase())
}
