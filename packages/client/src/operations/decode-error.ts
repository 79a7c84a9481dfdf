import { MemcacheDecodeError } from 'memcache-ts-protocol'
import { messageOf } from '../values/value-codec.ts'

/** What a codec threw, as the error of a key. */
export function decodeError(error: unknown, key: string | undefined): MemcacheDecodeError {
  const reason = messageOf(error)
  return new MemcacheDecodeError(key === undefined ? reason : `${key}: ${reason}`, { key, cause: error })
}

/** Why a later step of reading a value failed: what is no fault of the value stays as it is. */
export function stepError(error: unknown, key: string | undefined): unknown {
  return error instanceof MemcacheDecodeError ? decodeError(error, key) : error
}
