import type { Key, Ttl } from 'memcache-ts-protocol'
import { lateTags, ttlOf } from '../engine/load/get-or-set-options.ts'
import type { Loader, TtlOf } from '../engine/load/get-or-set-options.ts'
import { lateSeconds, lifetime } from '../engine/lifetime.ts'
import type { CacheNamespace } from '../namespace.ts'

/** Tags of a value: a fixed list, or a function of the arguments. */
export type TagsOf<Args extends readonly unknown[]> = readonly string[] | ((...args: Args) => readonly string[])

/** Returns the tags for these arguments, normalized by `oneTagOrMany`. */
export function tagsFor<Args extends readonly unknown[]>(
  tags: TagsOf<Args> | undefined,
  args: Args,
): readonly string[] | undefined {
  return typeof tags === 'function' ? oneTagOrMany(tags(...args)) : tags
}

/**
 * Normalizes the result of a function of tags: a string is one tag, as for `setTags`. Other values are checked where
 * they are used.
 */
export function oneTagOrMany(returned: unknown): readonly string[] | undefined {
  if (returned === null) return undefined
  return (typeof returned === 'string' ? [returned] : returned) as readonly string[] | undefined
}

/**
 * Returns the loader and the tags of a call whose tags come from a function. If the tags cannot be used, the value is
 * loaded and returned but not stored, and the reason is logged.
 */
export function taggedLoad<Value>(
  tags: readonly string[] | undefined,
  load: Loader<Value>,
): { readonly load: Loader<Value>; readonly tags: readonly string[] | undefined } {
  if (tags === undefined) return { load, tags }
  const { tags: usable, fault } = lateTags(tags)
  if (fault === undefined) return { load, tags: usable }
  const refusing: Loader<Value> = (context) => {
    context.setTags(tags)
    return load(context)
  }
  return { load: refusing, tags: [] }
}

/**
 * Stores a value whose lifetime may come with it, like the `expires_in` of a token. Such a lifetime may be over 30
 * days. With 0 the value is not stored, and the old value is deleted, since it is out of date. Resolves to whether the
 * value is stored and memcached has confirmed it.
 *
 * @throws MemcacheOptionError if the value cannot be stored, or the lifetime is invalid.
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
