import { isDeepStrictEqual } from 'node:util'
import type { Loader } from '../load/get-or-set-options.ts'
import { valuesById } from '../load/read-through-many.ts'
import type { BatchLoader } from '../load/read-through-many.ts'
import { UnrevivableValue } from './class-warnings.ts'
import type { ClassWarnings } from './class-warnings.ts'
import type { Reviver } from './reviver.ts'

/** How values are loaded, stored as plain data, and made again. */
interface Revival<Load, Found, Discarded extends readonly unknown[]> {
  /** For warnings. */
  readonly name: string
  readonly revive: Reviver
  readonly classes: ClassWarnings
  /** What is stored, loaded where it is not. */
  readonly getOrSet: (load: Load) => Promise<Found>
  /** Takes away what is stored and cannot be read. */
  readonly discard: (error: unknown, ...which: Discarded) => Promise<unknown>
}

const NOTHING = Symbol('nothing')

/**
 * A value that is stored as plain data, made for this caller. What its reviver cannot read is loaded again.
 * @throws what the reviver throws for a value that was just loaded.
 */
export async function revivedValue(
  load: Loader<unknown>,
  { name, revive, classes, getOrSet, discard }: Revival<Loader<unknown>, unknown, []>,
): Promise<unknown> {
  let loaded: unknown = NOTHING
  const loader: Loader<unknown> = async (context) => {
    loaded = await classes.ofRevived(name, await load(context), revive)
    return loaded
  }
  const stored = await getOrSet(loader)
  try {
    return await revived(stored, revive)
  } catch (error) {
    // Every caller's value is a copy.
    if (isDeepStrictEqual(stored, loaded)) throw error
    await discard(error)
  }
  return revived(await getOrSet(loader), revive)
}

/** As `revivedValue`, for many at once. */
export async function revivedValues<Id>(
  ids: readonly Id[],
  load: BatchLoader<Id, unknown>,
  {
    name,
    revive,
    classes,
    getOrSet,
    discard,
  }: Omit<Revival<never, never, [failed: readonly Id[]]>, 'getOrSet'> & {
    readonly getOrSet: (ids: readonly Id[], load: BatchLoader<Id, unknown>) => Promise<ReadonlyMap<Id, unknown>>
  },
): Promise<Map<Id, unknown>> {
  const loader = revivedBatchLoader(name, load, revive, classes)
  const values = new Map<Id, unknown>()
  const failed: Id[] = []
  let reason: unknown
  for (const [id, stored] of await getOrSet(ids, loader)) {
    try {
      values.set(id, await revived(stored, revive))
    } catch (error) {
      // Its place among the others.
      values.set(id, undefined)
      failed.push(id)
      reason = error
    }
  }
  if (failed.length === 0) return values
  await discard(reason, failed)
  const again = await getOrSet(failed, loader)
  for (const id of failed) {
    if (again.has(id)) values.set(id, await revived(again.get(id), revive))
    else values.delete(id)
  }
  return values
}

/** A loader of many that are stored as plain data. */
export function revivedBatchLoader<Id, Value>(
  path: string,
  load: BatchLoader<Id, Value>,
  revive: Reviver,
  classes: ClassWarnings,
): BatchLoader<Id, Value> {
  return async (ids, context) => {
    const loaded = new Map<Id, Value>()
    for (const [id, value] of valuesById(ids, await load(ids, context))) {
      loaded.set(id, (await classes.ofRevived(path, value, revive)) as Value)
    }
    return loaded
  }
}

function revived(stored: unknown, revive: Reviver): unknown {
  return stored instanceof UnrevivableValue ? stored.value : revive(stored)
}
