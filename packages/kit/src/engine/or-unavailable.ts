import type { CacheReport } from './observe/cache-report.ts'

/**
 * Stands for the result of an operation that failed because of a server. The symbol is registered, since a feature and
 * its cache may come from different copies of this package.
 */
export const UNAVAILABLE: unique symbol = Symbol.for('memcache-ts.unavailable')

/**
 * Returns the result of an operation, or `UNAVAILABLE` if it fails: the application goes on without the cache.
 *
 * @param failed is called with the error.
 * @throws usage errors: invalid options and keys.
 */
export function orUnavailable<Result>(
  operation: Promise<Result>,
  report: CacheReport,
  failed?: (error: unknown) => void,
): Promise<Result | typeof UNAVAILABLE> {
  return operation.catch((error: unknown) => unavailable(error, report, failed))
}

/**
 * Counts the error of an operation that failed, and returns `UNAVAILABLE` for its result.
 *
 * @throws the error if it is a usage error.
 */
export function unavailable(
  error: unknown,
  report: CacheReport,
  failed?: (error: unknown) => void,
): typeof UNAVAILABLE {
  if (isUsageError(error)) throw error
  report.failed(error)
  failed?.(error)
  return UNAVAILABLE
}

/** Returns whether the caller made a mistake: an invalid option or key. */
export function isUsageError(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return code === 'ERR_MEMCACHE_OPTION' || code === 'ERR_MEMCACHE_KEY'
}
