import type { MemcacheError } from 'memcache-ts-protocol'

/** The hits of a `getMulti`, by the keys as they were given. */
export class MultiGetResult<Given, Value> extends Map<Given, Value> {
  /** What went wrong, by server: the keys that lie there are missing although they may be stored. */
  readonly errors = new Map<string, MemcacheError>()
}
