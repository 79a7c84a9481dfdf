import { LongTimer, MemcacheLoaderTimeoutError } from 'memcache-ts-protocol'
import { HARD_TIMEOUT_MS } from '../load/load-run.ts'
import { onAbort } from '../load/waiting.ts'
import { classOfReviver } from './reviver.ts'
import type { Reviver } from './reviver.ts'
import { reasonOf, throwIfAborted } from '../load/abandonment.ts'

/** The limits of the wait for an application's reviver. */
export interface ReviveLimit {
  /** The name in errors. */
  readonly name: string
  /** The time limit of loaders. Default: that of a loader without one. */
  readonly hardTimeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Returns a revived value. A reviver that never settles is given up after the time limit of a loader, so that its
 * callers do not hang.
 *
 * @throws the reviver's error; MemcacheLoaderTimeoutError if it exceeds the time limit; the signal's reason.
 */
export function reviveWithin(stored: unknown, revive: Reviver, limit: ReviveLimit): unknown {
  const reviving = revive(stored)
  // The kit's own reviver, of a class, always settles.
  if (!isThenable(reviving) || classOfReviver(revive) !== undefined) return reviving
  const { name, hardTimeoutMs = HARD_TIMEOUT_MS, signal } = limit
  throwIfAborted(signal)
  return new Promise((resolve, reject) => {
    const expire = (): void =>
      fail(new MemcacheLoaderTimeoutError(`the reviver of ${name} took longer than ${hardTimeoutMs} ms`, { key: name }))
    const timer = new LongTimer(expire, hardTimeoutMs)
    const unwatch = signal === undefined ? undefined : onAbort(signal, () => fail(reasonOf(signal)))
    const end = (): void => {
      timer.clear()
      unwatch?.()
    }
    const fail = (error: unknown): void => {
      end()
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- the reviver's or the signal's
      reject(error)
    }
    Promise.resolve(reviving).then((value) => {
      end()
      resolve(value)
    }, fail)
  })
}

/** Returns whether an error means that the wait for a reviver has ended, not that it refuses the value. */
export function isReviveEnd(error: unknown, { signal }: ReviveLimit): boolean {
  return error instanceof MemcacheLoaderTimeoutError || (signal?.aborted === true && error === reasonOf(signal))
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
