import type { IncomingMessage, ServerResponse } from 'node:http'
import type { LoadContext } from '../engine/engine.ts'
import type { ForwardReason } from './cache-status.ts'
import type { RequestDirectives } from './policy/request-directives.ts'
import type { RequestTarget } from './policy/request-key.ts'
import { decodeRecord } from './records/stored-record.ts'
import type { StoredRecord, StoredResponse } from './records/stored-record.ts'
import { variantOf } from './policy/vary.ts'

/**
 * A request to a server of `node:http`, and where its response goes; what an adapter knows of it. Fields that others have set by
 * now have to be on the response: they are not stored, and sent along with what is.
 */
export interface HttpExchange extends RequestTarget {
  readonly response: ServerResponse
  /** What the response belongs to, for `cache.invalidateTags`; besides `url:<path>`. */
  readonly tags?: readonly string[] | undefined
  /** Runs a request that nobody waits for through the application, to revalidate what others are served stale. */
  readonly dispatch: (request: IncomingMessage, response: ServerResponse) => void
}

/** One lookup to the cache: what is looked for, for which request. */
export interface ResponseLookup {
  readonly exchange: HttpExchange
  /** In full. */
  readonly key: string
  /** As it is stored. */
  readonly name: string
  /** For a variant: where the list of fields lies by which it was selected, and the list. */
  readonly variants: { readonly key: string; readonly name: string; readonly names: readonly string[] } | undefined
  readonly directives: RequestDirectives
  /** Whether the request says who asks, otherwise than in the key. */
  readonly isAuthorized: boolean
  readonly tagKeys: readonly string[]
  /** When it was asked, by `performance.now()`. */
  readonly startedMs: number
}

/** The lookup for the variant that its request selects. */
export function variantLookup(
  lookup: ResponseLookup,
  { id, names }: Extract<StoredRecord, { kind: 'variants' }>,
  nameOf: (key: string) => string,
): ResponseLookup {
  const key = variantKey(lookup, id, names)
  return { ...lookup, key, name: nameOf(key), variants: { key: lookup.key, name: lookup.name, names } }
}

/** The key of a variant; the id is that of the list of fields that it was selected by. */
export function variantKey({ key, exchange }: ResponseLookup, id: string, names: readonly string[]): string {
  return `${key}:${id}:${variantOf(names, exchange.request.headers)}`
}

/** What stands for the key where requests that say who asks have to be told from the others. */
export function authorizedName({ name }: ResponseLookup): string {
  return `${name} authorized`
}

/** The response that a loader is to revalidate or replace. */
export function staleOf({ stale }: LoadContext, lookup: ResponseLookup): StoredResponse | undefined {
  const record = stale === undefined ? undefined : decodeRecord(stale, lookup.key)
  return record?.kind === 'response' && isValidatorFor(record, lookup) ? record : undefined
}

/**
 * Whether the validators of a stored response may be sent with a request: the response to a client that says who it is may have the validators
 * of one that was made for nobody, and be another.
 */
export function isValidatorFor({ lifetimes }: StoredResponse, { isAuthorized }: ResponseLookup): boolean {
  return !isAuthorized || lifetimes.isShared
}

/** Why a lookup goes on to the handler. */
export function forwardReason({ variants }: ResponseLookup, stale: StoredResponse | undefined): ForwardReason {
  if (stale !== undefined) return 'stale'
  return variants === undefined ? 'uri-miss' : 'vary-miss'
}
