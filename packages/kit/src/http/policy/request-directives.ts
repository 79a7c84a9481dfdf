import type { IncomingHttpHeaders } from 'node:http'
import { CacheDirectives } from './cache-directives.ts'
import { lineOf, listOf } from '../fields.ts'

/** The directives of a client for caches (RFC 9111, section 5.2.1). Times are in seconds. */
export interface RequestDirectives {
  readonly noStore: boolean
  readonly noCache: boolean
  readonly onlyIfCached: boolean
  readonly maxAge: number | undefined
  readonly minFresh: number | undefined
  /** `Infinity` accepts a response of any staleness. */
  readonly maxStale: number | undefined
  readonly staleIfError: number | undefined
}

/** The directives of a client that sends none. */
export const NO_DIRECTIVES: RequestDirectives = {
  noStore: false,
  noCache: false,
  onlyIfCached: false,
  maxAge: undefined,
  minFresh: undefined,
  maxStale: undefined,
  staleIfError: undefined,
}

/** Returns the directives of a request. */
export function requestDirectives(headers: IncomingHttpHeaders): RequestDirectives {
  const line = lineOf(headers, 'cache-control')
  if (line === undefined) {
    const noCache = headers.pragma !== undefined && listOf(lineOf(headers, 'pragma')).includes('no-cache')
    return noCache ? { ...NO_DIRECTIVES, noCache } : NO_DIRECTIVES
  }
  const directives = CacheDirectives.of(line)
  return {
    noStore: directives.has('no-store'),
    noCache: directives.has('no-cache'),
    onlyIfCached: directives.has('only-if-cached'),
    maxAge: directives.seconds('max-age'),
    minFresh: directives.seconds('min-fresh'),
    maxStale: directives.hasBare('max-stale') ? Infinity : directives.seconds('max-stale'),
    staleIfError: directives.seconds('stale-if-error'),
  }
}
