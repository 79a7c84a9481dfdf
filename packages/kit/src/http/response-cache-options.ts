import { booleanOption, MemcacheOptionError, positiveOption, ttlToSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { Memcache } from '../memcache.ts'
import { describeValue, nameListOption, requireCache } from '../option-types.ts'
import { MAX_DELTA_SECONDS } from './policy/cache-directives.ts'
import type { KeyRules } from './policy/request-key.ts'
import type { VaryRules } from './policy/vary.ts'

/** Options of the response cache that all its adapters share. */
export interface ResponseCacheOptions {
  /**
   * How long a response is fresh if it does not state a lifetime (`Cache-Control`, `Expires`), in seconds. Default: if
   * it has a `Last-Modified`, a tenth of the time since then, at most a day; otherwise it is not stored, or revalidated
   * each time if it has an `ETag`.
   */
  ttlSeconds?: Ttl | undefined
  /**
   * How long a response may be served after its lifetime if it does not state this time, in seconds: while one process
   * reloads it, and if the reload fails. Default 0; at most a day.
   */
  staleSeconds?: Ttl | undefined
  /** Request fields that responses depend on, in addition to those in their `Vary`. */
  vary?: readonly string[] | undefined
  /**
   * The languages of the application, such as `['en', 'de']`. Other languages in `Accept-Language` do not matter, and
   * the handler does not see them. A client is served a stored response in the language that it prefers
   * (`Content-Language`). Default: each value of `Accept-Language` has its own response.
   */
  languages?: readonly string[] | undefined
  /**
   * The content codings that the application applies, such as `['br', 'gzip']`. Other codings in `Accept-Encoding` do
   * not matter, and the handler does not see them.
   */
  encodings?: readonly string[] | undefined
  /** The values of `Host` that are served from the cache. Default: all hosts; each has its own responses. */
  hosts?: readonly string[] | undefined
  /** The maximum size of a stored body, in bytes; larger bodies are sent but not stored. Default 5 000 000. */
  maxBytes?: number | undefined
  /** Whether the order of query parameters does not matter. Default false. */
  sortQuery?: boolean | undefined
  /** Query parameters that do not matter, such as `utm_source`. */
  ignoreQuery?: readonly string[] | undefined
  /**
   * Cookies that do not matter, or `true` for all; the handler does not see them. Default: a request with cookies is
   * not served from the cache.
   */
  ignoreCookies?: boolean | readonly string[] | undefined
  /**
   * Whether stored responses can be purged by wildcards, such as `purge('/cities/*')`. The root and the first eight
   * directories of a path are then tags, whose generations are read for a hit. Default false.
   */
  wildcards?: boolean | undefined
  /**
   * Whether the response to a POST is stored for the GETs of the same URL, if it states a lifetime and its
   * `Content-Location` is that URL (RFC 9110, section 9.3.3). Default false.
   */
  storePost?: boolean | undefined
  /**
   * Whether clients may request newer responses by `Cache-Control: no-cache`, `max-age` and similar directives. Default
   * true.
   */
  requestDirectives?: boolean | undefined
  /**
   * Response fields that replace `Cache-Control` and `Expires` for this cache, the most specific first (RFC 9213).
   * Default `['Memcache-Cache-Control', 'CDN-Cache-Control']`.
   */
  targetedFields?: readonly string[] | undefined
  /**
   * Whether fresh responses are kept in the memory of the process too, if the cache has an `l1`: a hit then needs no
   * round trip, and an invalidation by another process takes effect within a second. Default false.
   */
  l1?: boolean | undefined
  /** The cache that stores the responses. Default: the default cache of this process. */
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

/** The option names of other caches, with the names in this package. */
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

/** How long a response is kept after its lifetime: to be revalidated, and to be served stale. */
export const KEPT_STALE_SECONDS = 86_400
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

/**
 * Returns the options with their defaults.
 *
 * @throws MemcacheOptionError if a value is invalid.
 */
export function resolveResponseCache(options: ResponseCacheOptions): ResolvedResponseCache {
  const { ttlSeconds, staleSeconds = 0, maxBytes = DEFAULT_MAX_BYTES, ignoreCookies = false } = options
  const { languages, encodings } = options
  const vary = nameListOption('vary', options.vary === undefined ? [] : options.vary)
  const hosts = options.hosts === undefined ? undefined : nameListOption('hosts', options.hosts)
  const targetedFields = nameListOption(
    'targetedFields',
    options.targetedFields === undefined ? DEFAULT_TARGETED_FIELDS : options.targetedFields,
  )
  requireCache('a response cache', options.cache)
  positiveOption('maxBytes', maxBytes)
  const stale = staleSeconds === 0 ? 0 : ttlToSeconds(staleSeconds, 'staleSeconds')
  if (stale > KEPT_STALE_SECONDS) throw new MemcacheOptionError('staleSeconds must be at most a day (86400)')
  if (hosts?.length === 0)
    throw new MemcacheOptionError(
      'hosts must not be empty, or no request could be served from the cache: name your hosts, or leave the option out to allow all',
    )
  if (vary.includes('*'))
    throw new MemcacheOptionError("vary must name request fields: with '*', no two requests would share a response")
  const { wildcards = false, l1 = false, storePost = false, requestDirectives = true, sortQuery = false } = options
  return {
    defaultSeconds: ttlSeconds === undefined ? undefined : Math.min(MAX_DELTA_SECONDS, ttlToSeconds(ttlSeconds)),
    staleSeconds: stale,
    targetedFields: targetedFields.map((name) => name.toLowerCase()),
    vary: vary.map((name) => name.toLowerCase()).sort(),
    maxBytes,
    hasWildcards: booleanOption('wildcards', wildcards),
    usesMemory: booleanOption('l1', l1),
    storesPost: booleanOption('storePost', storePost),
    honoursRequests: booleanOption('requestDirectives', requestDirectives),
    varyRules: { languages: lowerCase('languages', languages), encodings: lowerCase('encodings', encodings) },
    rules: {
      hosts: hosts === undefined ? undefined : new Set(hosts.map((host) => host.toLowerCase())),
      sortQuery: booleanOption('sortQuery', sortQuery),
      ignoreQuery: new Set(nameListOption('ignoreQuery', options.ignoreQuery === undefined ? [] : options.ignoreQuery)),
      ignoreCookies: ignoredCookies(ignoreCookies),
    },
  }
}

function ignoredCookies(names: boolean | readonly string[]): true | ReadonlySet<string> {
  if (typeof names === 'boolean') return names || new Set()
  return new Set(nameListOption('ignoreCookies', names))
}

/**
 * Returns names in lower case.
 *
 * @throws MemcacheOptionError if the value is not a list of tokens.
 */
function lowerCase(option: string, names: readonly string[] | undefined): readonly string[] | undefined {
  if (names === undefined) return undefined
  const isList = Array.isArray(names) && names.length > 0
  if (!isList || !names.every((name) => typeof name === 'string' && /^[\w-]+$/.test(name)))
    throw new MemcacheOptionError(
      `${option} must be a list of names, such as ${option === 'languages' ? "['en', 'de']" : "['br', 'gzip']"}, got ${describeValue(names)}`,
    )
  return names.map((name) => name.toLowerCase())
}
