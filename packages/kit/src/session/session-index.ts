import { setTimeout as delay } from 'node:timers/promises'
import type { MemcachedClient } from 'memcache-ts-client'
import { MemcacheServerError } from 'memcache-ts-protocol'
import { withoutKey } from './session-errors.ts'

const MAX_ATTEMPTS = 256
const MAX_PAUSE_MS = 16
/** The least number of sessions of one user from which on ended ones are looked for. */
const MANY_IDS = 16
/**
 * How long after its id was added a session may still be on its way to memcached: until then an id stays, whether or
 * not there is a session.
 */
const SETTLING_MS = 600_000

/** The items that belong to sessions and are none. */
export interface SessionItems {
  client(): MemcachedClient
  /** The key of an item; no session has one that begins with an empty part. */
  key(parts: readonly string[]): string
  nowMs(): number
}

/** An id of a list, and when it was added. It is stored as a pair; earlier versions stored the id alone. */
type Entry = readonly [id: string, addedMs: number]

/**
 * Lists of the ids of sessions, by names such as users' ids. An id is added before its session is stored, since a
 * session that is in no list could not be ended from elsewhere; so the session of an id may not exist, or may have
 * ended. memcached may evict a list like any item.
 */
export class SessionIndex {
  readonly #items: SessionItems
  readonly #isGone: (id: string) => Promise<boolean>
  readonly #turns = new Turns()

  constructor(items: SessionItems, isGone: (id: string) => Promise<boolean>) {
    this.#items = items
    this.#isGone = isGone
  }

  /** The ids in the list of a name; none if there is no list. */
  async idsOf(name: string): Promise<string[]> {
    return toEntries(await withoutKey(this.#items.client().get(this.#key(name)))).map(([id]) => id)
  }

  /** Adds an id to the list of a name. Once the list is long, ids of ended sessions are removed from it. */
  async add(name: string, id: string): Promise<void> {
    await this.#change(name, async (entries) => {
      const addedMs = this.#items.nowMs()
      const known = entries.find((entry) => entry[0] === id)
      // Added again, it may be about to be stored: the time tells other processes to leave it.
      if (known !== undefined && !this.#isSettled(known)) return undefined
      const others = known === undefined ? entries : entries.filter((entry) => entry !== known)
      return [...(isCheckDue(others.length) ? await this.#living(others) : others), [id, addedMs]]
    })
  }

  /** Removes ids of sessions that were destroyed from the list of a name. */
  async remove(name: string, destroyed: ReadonlySet<string>): Promise<void> {
    await this.#drop(name, ([id]) => destroyed.has(id))
  }

  /**
   * Removes ids without a session from the list of a name, unless they were added so recently that the session may
   * still come.
   */
  async forget(name: string, gone: ReadonlySet<string>): Promise<void> {
    await this.#drop(name, (entry) => gone.has(entry[0]) && this.#isSettled(entry))
  }

  async #drop(name: string, isDropped: (entry: Entry) => boolean): Promise<void> {
    await this.#change(name, (entries) => {
      const left = entries.filter((entry) => !isDropped(entry))
      return left.length === entries.length ? undefined : left
    })
  }

  /**
   * Changes a list by compare-and-swap.
   *
   * @param change returns the new list; `undefined` if nothing is to be changed.
   * @throws MemcacheServerError if others change it all the time.
   */
  async #change(
    name: string,
    change: (entries: Entry[]) => readonly Entry[] | undefined | Promise<readonly Entry[] | undefined>,
  ): Promise<void> {
    const client = this.#items.client()
    const key = this.#key(name)
    const endTurn = await this.#turns.take(key)
    try {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        if (attempt > 0) await delay(Math.random() * Math.min(2 ** attempt, MAX_PAUSE_MS))
        const found = await withoutKey(client.gets(key))
        const entries = await change(toEntries(found?.value))
        if (entries === undefined) return
        // Without an end: a list that ended before its sessions would hide them.
        const isStored =
          found === undefined
            ? await withoutKey(client.add(key, entries, Infinity))
            : (await withoutKey(client.cas(key, entries, found.casUnique, Infinity))) === 'stored'
        if (isStored) return
      }
    } finally {
      endTurn()
    }
    throw new MemcacheServerError('the sessions of one user are begun by too many requests at once', {
      retryable: true,
    })
  }

  async #living(entries: readonly Entry[]): Promise<Entry[]> {
    const isGone = await Promise.all(entries.map(async (entry) => this.#isSettled(entry) && this.#isGone(entry[0])))
    return entries.filter((_, index) => !isGone[index])
  }

  /** Whether the session of an entry was stored, if it ever is. */
  #isSettled([, addedMs]: Entry): boolean {
    return Math.abs(this.#items.nowMs() - addedMs) > SETTLING_MS
  }

  #key(name: string): string {
    return this.#items.key(['', 'index', name])
  }
}

/**
 * Whether ended sessions are looked for: each time that the list has doubled, so that each session is read about once,
 * however many there are.
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

/** Lets the callers of this process take turns on a key. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>()

  /** Resolves once all earlier callers have ended their turns, to the function that ends this turn. */
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
