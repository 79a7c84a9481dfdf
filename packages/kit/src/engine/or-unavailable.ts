import type { CacheReport } from './observe/cache-report.ts'

/** What stands for the result of an operation that the cache could not do. */
export const AWAY: unique symbol = Symbol('away')

/**
 * Waits for an operation of the cache; when that fails, the application goes on without.
 * @param failed is told why.
 * @throws what is the caller's mistake: wrong options, and keys that cannot be.
 */
export function attempt<Result>(
  operation: Promise<Result>,
  report: CacheReport,
  failed?: (error: unknown) => void,
): Promise<Result | typeof AWAY> {
  return operation.catch((error: unknown) => away(error, report, failed))
}

/**
 * What an operation of the cache that failed comes to.
 * @throws the error if it is the caller's mistake.
 */
export function away(error: unknown, report: CacheReport, failed?: (error: unknown) => void): typeof AWAY {
  if (isCallersMistake(error)) throw error
  report.failed(error)
  failed?.(error)
  return AWAY
}

/** Whether an error says that the caller has to change something. */
export function isCallersMistake(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return code === 'ERR_MEMCACHE_OPTION' || code === 'ERR_MEMCACHE_KEY'
}
