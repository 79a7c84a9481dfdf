import { MemcacheError } from 'memcache-ts-protocol'

/** Waits for a call of the client, whose error then names no key: the id of a session is as good as a password. */
export async function withoutKey<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work
  } catch (error) {
    throw keyless(error)
  }
}

/** An error without the key that it names. */
export function keyless(error: unknown): unknown {
  if (error instanceof MemcacheError && error.key !== undefined) hideKey(error, error.key)
  return error
}

function hideKey(error: MemcacheError, key: string): void {
  const hide = (text: string): string => text.replaceAll(key, '<session>')
  Object.defineProperty(error, 'key', { value: undefined, enumerable: true, configurable: true })
  error.message = hide(error.message)
  if (error.stack !== undefined) error.stack = hide(error.stack)
}
