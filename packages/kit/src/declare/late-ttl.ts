import type { Key, Ttl } from 'memcache-ts-protocol'
import { ttlOf } from '../engine/load/get-or-set-options.ts'
import type { TtlOf } from '../engine/load/get-or-set-options.ts'
import { lateSeconds, lifetime } from '../engine/lifetime.ts'
import type { CacheNamespace } from '../namespace.ts'

/**
 * Stores a value whose lifetime may come with it, as a token's `expires_in` does: such a lifetime may be over 30 days,
 * and 0 means that the value is not stored. The value that was there is taken away then, since it is out of date.
 * Resolves to whether the value is stored, confirmed.
 *
 * @throws MemcacheOptionError if the value cannot be stored, or the lifetime is none.
 */
export async function setWithLateTtl(
  namespace: CacheNamespace,
  {
    key,
    value,
    ttl,
    tags,
  }: { key: Key; value: unknown; ttl: Ttl | TtlOf | undefined; tags: readonly string[] | undefined },
): Promise<boolean> {
  if (typeof ttl !== 'function') return namespace.set(key, value, { ttlSeconds: ttl, tags })
  const own = ttlOf(ttl, value) as Ttl | null | undefined
  if (own === undefined || own === null) return namespace.set(key, value, { tags })
  const seconds = lateSeconds(own)
  if (seconds > 0) return namespace.set(key, value, { ttlSeconds: lifetime(seconds), tags })
  await namespace.delete(key)
  return false
}
