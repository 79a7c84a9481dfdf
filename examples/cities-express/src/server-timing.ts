import { AsyncLocalStorage } from 'node:async_hooks'
import type { Response } from 'express'

/** The time that one request has spent in the database so far; `null` if it has not used the database. */
interface Spent {
  databaseMs: number | null
}

const spentBy = new AsyncLocalStorage<Spent>()

/**
 * Does what a request asks for and writes `Server-Timing` on its response: `db` when the database was asked, and as
 * `cache` all the rest, which is the round trips to the cache, (de)serialising included.
 */
export async function timed<T>(res: Response, work: () => Promise<T>): Promise<T> {
  const spent: Spent = { databaseMs: null }
  const startedMs = performance.now()
  const result = await spentBy.run(spent, work)
  const totalMs = performance.now() - startedMs
  const { databaseMs } = spent
  if (databaseMs !== null) res.append('Server-Timing', metric('db', databaseMs))
  res.append('Server-Timing', metric('cache', totalMs - (databaseMs ?? 0)))
  return result
}

/** Runs one statement and counts its time for the request on whose behalf it runs, if it is one. */
export async function timedDatabase<T>(query: () => Promise<T>): Promise<T> {
  const startedMs = performance.now()
  try {
    return await query()
  } finally {
    const spent = spentBy.getStore()
    if (spent) spent.databaseMs = (spent.databaseMs ?? 0) + performance.now() - startedMs
  }
}

/** A metric of https://www.w3.org/TR/server-timing/: its duration is in milliseconds. */
function metric(name: string, durationMs: number): string {
  return `${name};dur=${durationMs.toFixed(2)}`
}
