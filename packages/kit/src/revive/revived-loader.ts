import type { Loader } from '../cache/get-or-set-options.ts'
import { valuesById } from '../cache/read-through-many.ts'
import type { BatchLoader } from '../cache/read-through-many.ts'
import type { ClassWarnings } from './class-warnings.ts'
import type { Reviver } from './reviver.ts'

/** A loader of what is stored: plain data, which each caller then has made into a value of its own. */
export function revivedLoader<Value>(
  key: string,
  load: Loader<Value>,
  revive: Reviver,
  classes: ClassWarnings,
): Loader<Value> {
  return async (context) => (await classes.ofRevived(key, await load(context), revive)) as Value
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

/** The values of a batch, each made by a reviver. */
export async function reviveMany<Id>(stored: ReadonlyMap<Id, unknown>, revive: Reviver): Promise<Map<Id, unknown>> {
  const values = new Map<Id, unknown>()
  for (const [id, value] of stored) values.set(id, await revive(value))
  return values
}
