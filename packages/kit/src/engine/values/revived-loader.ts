import { isDeepStrictEqual } from 'node:util'
import type { Loader } from '../load/get-or-set-options.ts'
import { valuesById } from '../load/read-through-many.ts'
import type { BatchLoader } from '../load/read-through-many.ts'
import { UnrevivableValue } from './class-warnings.ts'
import type { ClassWarnings } from './class-warnings.ts'
import { isReviveEnd, reviveWithin } from './revive-limit.ts'
import type { ReviveLimit } from './revive-limit.ts'
import type { Reviver } from './reviver.ts'

/** How values are loaded, stored as plain data, and revived. */
interface Revival<Load, Found, Discarded extends readonly unknown[]> {
  /** The name in warnings, and what ends the wait for the reviver. */
  readonly limit: ReviveLimit
  readonly revive: Reviver
  readonly classes: ClassWarnings
  /** Returns the stored value, or loads it. */
  readonly getOrSet: (load: Load) => Promise<Found>
  /** Deletes stored values that cannot be revived. */
  readonly discard: (error: unknown, ...which: Discarded) => Promise<unknown>
}

const NOTHING = Symbol('nothing')

/**
 * Returns a value that is stored as plain data, revived for this caller. A stored value that its reviver refuses is
 * loaded again.
 *
 * @throws the reviver's error for a value that was just loaded; MemcacheLoaderTimeoutError if the reviver exceeds the
 *   time limit; the signal's reason.
 */
export async function revivedValue(
  load: Loader<unknown>,
  { limit, revive, classes, getOrSet, discard }: Revival<Loader<unknown>, unknown, []>,
): Promise<unknown> {
  let loaded: unknown = NOTHING
  const loader: Loader<unknown> = async (context) => {
    loaded = await classes.ofRevived(limit.name, await load(context), revive)
    return loaded
  }
  const stored = await getOrSet(loader)
  try {
    return await revived(stored, revive, limit)
  } catch (error) {
    if (isReviveEnd(error, limit)) throw error
    // The values are compared by content, since every caller's value is a copy.
    if (isDeepStrictEqual(stored, loaded)) throw error
    await discard(error)
  }
  return revived(await getOrSet(loader), revive, limit)
}

/** Like `revivedValue`, for many values. */
export async function revivedValues<Id>(
  ids: readonly Id[],
  load: BatchLoader<Id, unknown>,
  {
    limit,
    revive,
    classes,
    getOrSet,
    discard,
  }: Omit<Revival<never, never, [failed: readonly Id[]]>, 'getOrSet'> & {
    readonly getOrSet: (ids: readonly Id[], load: BatchLoader<Id, unknown>) => Promise<ReadonlyMap<Id, unknown>>
  },
): Promise<Map<Id, unknown>> {
  const loader = revivedBatchLoader(load, { path: limit.name, revive, classes })
  const values = new Map<Id, unknown>()
  const failed: Id[] = []
  let reason: unknown
  for (const [id, stored] of await getOrSet(ids, loader)) {
    try {
      values.set(id, await revived(stored, revive, limit))
    } catch (error) {
      if (isReviveEnd(error, limit)) throw error
      // Keeps its position among the others.
      values.set(id, undefined)
      failed.push(id)
      reason = error
    }
  }
  if (failed.length === 0) return values
  await discard(reason, failed)
  const again = await getOrSet(failed, loader)
  for (const id of failed) {
    if (again.has(id)) values.set(id, await revived(again.get(id), revive, limit))
    else values.delete(id)
  }
  return values
}

interface BatchRevival {
  /** The name of the values in warnings. */
  readonly path: string
  readonly revive: Reviver
  readonly classes: ClassWarnings
}

/** Wraps a batch loader whose values are stored as plain data. */
export function revivedBatchLoader<Id, Value>(
  load: BatchLoader<Id, Value>,
  { path, revive, classes }: BatchRevival,
): BatchLoader<Id, Value> {
  return async (ids, context) => {
    const loaded = new Map<Id, Value>()
    for (const [id, value] of valuesById(ids, await load(ids, context))) {
      loaded.set(id, (await classes.ofRevived(path, value, revive)) as Value)
    }
    return loaded
  }
}

function revived(stored: unknown, revive: Reviver, limit: ReviveLimit): unknown {
  return stored instanceof UnrevivableValue ? stored.value : reviveWithin(stored, revive, limit)
}
