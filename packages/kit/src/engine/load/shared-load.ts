import type { Generations } from '../invalidate/tags.ts'
import type { LoadContext } from './get-or-set-options.ts'
import type { Freshness, ReadThrough, ReadThroughRequest } from './read-through.ts'

/** A load whose caller produces the value itself, while others wait for it. */
export interface LedLoad {
  /** A loader's context: the stale value, and the methods to set tags and the lifetime. */
  readonly context: LoadContext
  /** The generations of its tags when it began; `undefined` for a load without a lease, whose value is not stored. */
  readonly generations: Generations | undefined
  /** Ends the load with the value to store, or with an error. It must be called, since other callers wait for it. */
  end(value: Promise<unknown>): void
}

/** The result of a request whose caller may have to produce the value itself. */
export type SharedOutcome =
  /** A stored value that this caller may use. */
  | { readonly kind: 'hit'; readonly value: unknown }
  /** The value of another caller's load; it was not checked by `freshnessOf`. `undefined` if the caller did not wait. */
  | { readonly kind: 'joined'; readonly value: unknown; readonly unusable: unknown }
  /** Nothing usable is stored, and this caller produces the value. */
  | { readonly kind: 'lead'; readonly load: LedLoad }
  /** Another caller's load has failed, or the signal ended the wait. */
  | { readonly kind: 'failed'; readonly error: unknown; readonly unusable: unknown }

/** The request of a caller that produces the value itself if it leads. */
export interface ShareRequest extends Omit<ReadThroughRequest, 'load' | 'reload' | 'onLease' | 'freshnessOf'> {
  readonly freshnessOf: (value: unknown, ttlSeconds: number) => Freshness
  /** Reloads a stale value in the background, in place of the caller. */
  readonly reload: (context: LoadContext) => Promise<unknown>
}

/**
 * Reads through like `getOrSet`, but hands the load to the caller instead of calling a loader: for work that cannot be
 * a function call, such as an HTTP response that is sent while it is captured. `unusable` is the stored value that
 * `freshnessOf` refused, if there was one.
 */
export function shareLoad(readThrough: ReadThrough, request: ShareRequest): Promise<SharedOutcome> {
  let generations: Generations | undefined
  let unusable: unknown
  let isHit = false
  return new Promise((resolve) => {
    const freshnessOf = (value: unknown, ttlSeconds: number): Freshness => {
      const freshness = request.freshnessOf(value, ttlSeconds)
      isHit = freshness !== 'unusable'
      if (!isHit) unusable = value
      return freshness
    }
    const lead = (context: LoadContext): Promise<unknown> =>
      new Promise((end) => resolve({ kind: 'lead', load: { context, generations, end } }))
    const onLease = (given: Generations): void => void (generations = given)
    const { name, required, tagKeys, staleSeconds, l1, loading, fault, reload, takesStale, waits, signal } = request
    // Each field is named: V8 copies an object that contains functions slowly, and this runs for each hit of a page.
    const read: { [Field in keyof Required<ReadThroughRequest>]: ReadThroughRequest[Field] } = {
      name,
      required,
      tagKeys,
      staleSeconds,
      l1,
      loading,
      fault,
      load: lead,
      reload,
      freshnessOf,
      onLease,
      takesStale,
      waits,
      signal,
    }
    readThrough.get(read).then(
      (value) => resolve(isHit ? { kind: 'hit', value } : { kind: 'joined', value, unusable }),
      (error: unknown) => resolve({ kind: 'failed', error, unusable }),
    )
  })
}
