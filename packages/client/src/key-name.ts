import { joinKey, kindOf } from 'memcache-ts-protocol'
import { isBytes } from './client-key.ts'
import type { ClientKey } from './call-options.ts'

/**
 * A key as it stands in errors.
 * @throws MemcacheKeyError for what is no key.
 */
export function nameOf(key: ClientKey): string {
  if (typeof key === 'string') return key
  return isBytes(key) ? `0x${Buffer.from(key).toString('hex')}` : joinKey(key)
}

/** As `nameOf`, for anything that was given as a key. Never throws. */
export function nameOrKindOf(key: ClientKey): string {
  try {
    return nameOf(key)
  } catch {
    return `(${kindOf(key)})`
  }
}
