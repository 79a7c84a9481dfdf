import type { KeyPart } from 'memcache-ts-protocol'
import { KeyPrefix, ownKeyText, storedKey } from './engine/cache-key.ts'
import type { KeySpace } from './engine/cache-key.ts'
import { CacheNamespace } from './namespace.ts'
import { coreOf } from './memcache.ts'
import type { Memcache } from './memcache.ts'

/** A key in one of the kit's own spaces as it is stored: no key of a user is in one. */
export function ownKey(cache: Memcache, space: KeySpace, parts: readonly KeyPart[]): string {
  // By what is public: the cache may be of another copy of this package.
  return storedKey(ownKeyText(space, parts), cache.client.prefix)
}

/** All of one of the kit's own spaces, as a namespace. */
export function ownNamespace(cache: Memcache, space: KeySpace): CacheNamespace {
  const { parts } = coreOf(cache)
  return new CacheNamespace(coreOf(cache), cache.client.prefix, `${KeyPrefix[space]}:`, [
    parts.namespaceKey(KeyPrefix[space]),
  ])
}
