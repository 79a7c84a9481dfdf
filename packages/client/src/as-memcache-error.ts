import { MemcacheConnectionError, MemcacheError } from 'memcache-ts-protocol'

/** An error of ours as it is, anything else as the cause of one. */
export function asMemcacheError(error: unknown): MemcacheError {
  return error instanceof MemcacheError ? error : new MemcacheConnectionError(textOf(error), { cause: error })
}

/** What was thrown, as text; never throws, whatever it was. */
export function textOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message : String(thrown)
  } catch {
    return 'a value that has no text was thrown'
  }
}
