import type { KeyPart } from 'memcache-ts-protocol'
import { KeyPrefix, ownKeyText, storedKey } from './engine/cache-key.ts'
import type { KeySpace } from './engine/cache-key.ts'
import { engineOf } from './engine/engine.ts'
import type { Memcache } from './memcache.ts'
import { CacheNamespace } from './namespace.ts'

/** Returns a key in one of the kit's key spaces as it is stored; no user's key is in one. */
export function ownKey(cache: Memcache, space: KeySpace, parts: readonly KeyPart[]): string {
  return storedKey(ownKeyText(space, parts), cache.client.prefix)
}

/** Returns one of the kit's key spaces as a namespace. */
export function ownNamespace(cache: Memcache, space: KeySpace): CacheNamespace {
  const engine = engineOf(cache)
  const path = KeyPrefix[space]
  return new CacheNamespace(engine, {
    prefix: cache.client.prefix,
    path: `${path}:`,
    tagKeys: [engine.namespaceKey(path)],
  })
}
