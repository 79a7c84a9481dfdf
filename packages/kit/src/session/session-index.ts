import { setTimeout as delay } from 'node:timers/promises'
import type { MemcachedClient } from 'memcache-ts-client'
import { MemcacheServerError } from 'memcache-ts-protocol'
import { dropForeign, isForeign } from '../engine/engine.ts'
import { withoutKey } from './session-errors.ts'

const MAX_ATTEMPTS = 256
const MAX_PAUSE_MS = 16
/** The length of a list from which ended sessions are removed. */
const MANY_IDS = 16
/**
 * After an id was added, its session may still be on its way to memcached for this time; until then the id stays in the
 * list.
 */
const SETTLING_MS = 600_000

/** Access to the items that belong to sessions but are not sessions. */
export interface SessionItems {
  client(): MemcachedClient
  /** Returns the key of an item. Its first part is empty, which no key of a session has. */
  key(parts: readonly string[]): string
  nowMs(): number
}

/** An id in a list and the time when it was added, stored as a pair; earlier versions stored only the id. */
type Entry = readonly [id: string, addedMs: number]

/** Returns the new entries of a list; `undefined` if nothing is to be changed. */
type ListChange = (entries: readonly Entry[]) => readonly Entry[] | undefined | Promise<readonly Entry[] | undefined>

interface Waiting {
  readonly apply: ListChange
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * Keeps lists of session ids by name, such as by user id. An id is added before its session is stored, since a session
 * that is in no list could not be found; so the session of an id may not exist, or may have ended. memcached may evict
 * a list like any item.
 */
export class SessionIndex {
  readonly #items: SessionItems
  readonly #isGone: (id: string) => Promise<boolean>
  /** By name: the changes that wait for the one that is being written. */
  readonly #waiting = new Map<string, Waiting[]>()

  constructor(items: SessionItems, isGone: (id: string) => Promise<boolean>) {
    this.#items = items
    this.#isGone = isGone
  }

  /** Returns the ids in a list; an empty array if there is no list. */
  async idsOf(name: string): Promise<string[]> {
    const found = await this.#fetch(this.#key(name))
    return toEntries(found?.value).map(([id]) => id)
  }

  /** Adds an id to a list. From a long list, ids of ended sessions are removed. */
  async add(name: string, id: string): Promise<void> {
    await this.#change(name, async (entries) => {
      const addedMs = this.#items.nowMs()
      const known = entries.find((entry) => entry[0] === id)
      // If the id is added again, its session may be about to be stored: because of the new time, other processes keep
      // it.
      if (known !== undefined && !this.#isSettled(known)) return undefined
      const others = known === undefined ? entries : entries.filter((entry) => entry !== known)
      return [...(isCheckDue(others.length) ? await this.#living(others) : others), [id, addedMs]]
    })
  }

  /** Removes the ids of destroyed sessions from a list. */
  async remove(name: string, destroyed: ReadonlySet<string>): Promise<void> {
    await this.#drop(name, ([id]) => destroyed.has(id))
  }

  /** Removes ids without a session from a list, except those added so recently that the session may still arrive. */
  async forget(name: string, gone: ReadonlySet<string>): Promise<void> {
    await this.#drop(name, (entry) => gone.has(entry[0]) && this.#isSettled(entry))
  }

  async #drop(name: string, isDropped: (entry: Entry) => boolean): Promise<void> {
    await this.#change(name, (entries) => {
      const left = entries.filter((entry) => !isDropped(entry))
      return left.length === entries.length ? undefined : left
    })
  }

  /** Changes a list by compare-and-swap. Changes of this process that are waiting are written together. */
  #change(name: string, apply: ListChange): Promise<void> {
    return new Promise((resolve, reject) => {
      const caller = { apply, resolve, reject }
      const waiting = this.#waiting.get(name)
      if (waiting !== undefined) {
        waiting.push(caller)
        return
      }
      this.#waiting.set(name, [caller])
      void this.#run(name)
    })
  }

  /** Makes all waiting changes of a list, until no change waits. */
  async #run(name: string): Promise<void> {
    const waiting = this.#waiting.get(name)!
    while (waiting.length > 0) {
      const callers = waiting.splice(0)
      try {
        await this.#changeBy(
          name,
          callers.map(({ apply }) => apply),
        )
        for (const { resolve } of callers) resolve()
      } catch (error) {
        for (const { reject } of callers) reject(error)
      }
    }
    this.#waiting.delete(name)
  }

  /** @throws MemcacheServerError if every attempt lost against another writer. */
  async #changeBy(name: string, changes: readonly ListChange[]): Promise<void> {
    const client = this.#items.client()
    const key = this.#key(name)
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (attempt > 0) await delay(Math.random() * Math.min(2 ** attempt, MAX_PAUSE_MS))
      const found = await this.#fetch(key)
      const before = toEntries(found?.value)
      let entries: readonly Entry[] = before
      for (const apply of changes) entries = (await apply(entries)) ?? entries
      if (entries === before) return
      // No expiration: a list that expired before its sessions would hide them.
      const isStored =
        found === undefined
          ? await withoutKey(client.add(key, entries, Infinity))
          : (await withoutKey(client.cas(key, entries, found.casUnique, Infinity))) === 'stored'
      if (isStored) return
    }
    throw new MemcacheServerError('too many requests change the list of sessions of one user at once: try again', {
      retryable: true,
    })
  }

  /** Returns the item of a list. What another program has stored there is deleted: the list begins again. */
  async #fetch(key: string): Promise<{ readonly value: unknown; readonly casUnique: bigint } | undefined> {
    const client = this.#items.client()
    try {
      return await withoutKey(client.gets(key))
    } catch (error) {
      if (!isForeign(error)) throw error
      await withoutKey(dropForeign(client, key))
      return undefined
    }
  }

  async #living(entries: readonly Entry[]): Promise<Entry[]> {
    const isGone = await inBatches(entries, async (entry) => this.#isSettled(entry) && this.#isGone(entry[0]))
    return entries.filter((_, index) => !isGone[index])
  }

  /** Returns whether an id was added so long ago that its session, if there is one, has been stored. */
  #isSettled([, addedMs]: Entry): boolean {
    return Math.abs(this.#items.nowMs() - addedMs) > SETTLING_MS
  }

  #key(name: string): string {
    return this.#items.key(['', 'index', name])
  }
}

/**
 * Returns whether to look for ended sessions: each time that the list has doubled, so that each session is read about
 * once, however long the list is.
 */
function isCheckDue(count: number): boolean {
  return count >= MANY_IDS && (count & (count - 1)) === 0
}

function toEntries(value: unknown): Entry[] {
  if (!Array.isArray(value)) return []
  return value.flatMap((entry: unknown): Entry[] => {
    const [id, addedMs] = Array.isArray(entry) ? (entry as unknown[]) : [entry, 0]
    return typeof id === 'string' && typeof addedMs === 'number' ? [[id, addedMs]] : []
  })
}

/** How many requests are sent at once for the sessions of one user: thousands at once would time out. */
const BATCH = 64

/** Calls a function for each item, for some items at a time; resolves to its results. */
export async function inBatches<Item, Result>(
  items: readonly Item[],
  call: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  for (let at = 0; at < items.length; at += BATCH) {
    results.push(...(await Promise.all(items.slice(at, at + BATCH).map(call))))
  }
  return results
}

/** Lets the callers of this process take turns on a key. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>()

  /** Waits until all earlier callers have ended their turns; resolves to the function that ends this turn. */
  async take(key: string): Promise<() => void> {
    const before = this.#last.get(key)
    let end!: () => void
    const turn = new Promise<void>((resolve) => (end = resolve))
    this.#last.set(key, turn)
    await before
    return () => {
      if (this.#last.get(key) === turn) this.#last.delete(key)
      end()
    }
  }
}
