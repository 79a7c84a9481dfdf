import type { WireKey } from '../client-key.ts'

/** Bob Jenkins's one-at-a-time hash of a key's bytes, unsigned (burtleburtle.net/bob/hash/doobs.html). */
export function oneAtATime(key: WireKey): number {
  const bytes = typeof key === 'string' ? Buffer.from(key) : key
  let hash = 0
  for (const byte of bytes) {
    // libmemcached reads signed characters.
    hash = (hash + ((byte << 24) >> 24)) | 0
    hash = (hash + (hash << 10)) | 0
    hash ^= hash >>> 6
  }
  hash = (hash + (hash << 3)) | 0
  hash ^= hash >>> 11
  hash = (hash + (hash << 15)) | 0
  return hash >>> 0
}
