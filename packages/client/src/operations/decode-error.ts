import { MemcacheDecodeError } from 'memcache-ts-protocol'

/** What a codec threw, as the error of a key. */
export function decodeError(error: unknown, key: string | undefined): MemcacheDecodeError {
  const reason = error instanceof Error ? error.message : String(error)
  return new MemcacheDecodeError(key === undefined ? reason : `${key}: ${reason}`, { key, cause: error })
}
