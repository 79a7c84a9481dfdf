import { kindOf, MemcacheOptionError } from 'memcache-ts-protocol'
import { lateTags } from '../engine/engine.ts'
import { syncResult } from '../option-types.ts'
import type { HandlerOptions } from './handler-options.ts'
import { isReadMethod } from './policy/request-key.ts'

/** The results of an application's functions for a request, for an `HttpExchange`. */
export interface RequestFacts {
  readonly key?: string | undefined
  readonly tags?: readonly string[] | undefined
  /** The error of a function, or why its result cannot be used. The request is then not served from the cache. */
  readonly fault?: unknown
}

type Functions<Request> = Pick<HandlerOptions<Request>, 'tags' | 'key' | 'condition' | 'storePost'>

const NO_FACTS: RequestFacts = {}

/**
 * The functions by which an application describes its requests to a response cache. Their results are checked: the text
 * of a promise or of an object would be the same key for all users.
 */
export class RequestFunctions<Request> {
  readonly #functions: Functions<Request>
  /** The facts of every request; `undefined` if a function returns them. */
  readonly #fixed: RequestFacts | undefined

  constructor(functions: Functions<Request>) {
    this.#functions = functions
    const { tags, key } = functions
    if (key === undefined && typeof tags !== 'function') this.#fixed = tags === undefined ? NO_FACTS : { tags }
  }

  /**
   * Returns the facts of a request; `undefined` if the application's condition excludes it. An unsafe request is never
   * excluded, since it invalidates, and no function is called for it.
   *
   * @param options.isBackground whether the cache itself made the request, for a response that was selected before.
   */
  factsOf(request: Request, method: string | undefined, { isBackground = false } = {}): RequestFacts | undefined {
    const { condition, storePost = false } = this.#functions
    const isRead = isReadMethod(method)
    if (!isRead && !(storePost && method === 'POST')) return NO_FACTS
    try {
      const isExcluded =
        condition !== undefined && isRead && !isBackground && !syncResult('condition', condition(request))
      return isExcluded ? undefined : (this.#fixed ?? this.#called(request))
    } catch (fault) {
      return { fault: fault ?? new Error(`a function of the response cache threw ${String(fault)}`) }
    }
  }

  #called(request: Request): RequestFacts {
    const { tags: given, key } = this.#functions
    const { tags, fault } = lateTags(typeof given === 'function' ? given(request) : given)
    return { key: key === undefined ? undefined : keyFrom(key(request)), tags, fault }
  }
}

/**
 * Returns a key as text; `undefined` means path and query.
 *
 * @throws MemcacheOptionError if it is not a text.
 */
function keyFrom(returned: unknown): string | undefined {
  syncResult('key', returned)
  if (returned === undefined || (typeof returned === 'string' && returned.isWellFormed())) return returned
  if (typeof returned === 'bigint' || (typeof returned === 'number' && Number.isSafeInteger(returned)))
    return String(returned)
  const what = typeof returned === 'string' ? 'text with half of a surrogate pair' : kindOf(returned)
  throw new MemcacheOptionError(`key must return the text of a key for a request, got ${what}`)
}
