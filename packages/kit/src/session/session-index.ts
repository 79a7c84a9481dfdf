import { setTimeout as delay } from 'node:timers/promises'
import type { MemcachedClient } from 'memcache-ts-client'
import { MemcacheServerError } from 'memcache-ts-protocol'
import { withoutKey } from './keyless-errors.ts'
import { Turns } from './turns.ts'

const MAX_ATTEMPTS = 256
const MAX_PAUSE_MS = 16
/** The least number of sessions of one user from which on ended ones are looked for. */
const MANY_IDS = 16

/** The items that belong to sessions and are none. */
export interface SessionItems {
  client(): MemcachedClient
  /** The key of an item; no session has one that begins with an empty part. */
  key(parts: readonly string[]): string
}

/**
 * Lists of the ids of sessions, by names such as users' ids. An id is added before its session is stored, since a
 * session that is in no list could not be ended from elsewhere; so the session of an id may not exist, or may have
 * ended. memcached may evict a list like any item.
 */
export class SessionIndex {
  readonly #items: SessionItems
  readonly #isLiving: (id: string) => Promise<boolean>
  readonly #turns = new Turns()

  constructor(items: SessionItems, isLiving: (id: string) => Promise<boolean>) {
    this.#items = items
    this.#isLiving = isLiving
  }

  /** The ids in the list of a name; none if there is no list. */
  async idsOf(name: string): Promise<string[]> {
    return toIds(await withoutKey(this.#items.client().get(this.#key(name))))
  }

  /** Adds an id to the list of a name. Once the list is long, ids of ended sessions are removed from it. */
  async add(name: string, id: string): Promise<void> {
    await this.#change(name, async (ids) => {
      if (ids.includes(id)) return undefined
      return [...(isCheckDue(ids.length) ? await this.#living(ids) : ids), id]
    })
  }

  /** Removes ids from the list of a name. */
  async remove(name: string, gone: ReadonlySet<string>): Promise<void> {
    await this.#change(name, (ids) => {
      const left = ids.filter((id) => !gone.has(id))
      return left.length === ids.length ? undefined : left
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
    change: (ids: string[]) => readonly string[] | undefined | Promise<readonly string[] | undefined>,
  ): Promise<void> {
    const client = this.#items.client()
    const key = this.#key(name)
    const endTurn = await this.#turns.take(key)
    try {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        if (attempt > 0) await delay(Math.random() * Math.min(2 ** attempt, MAX_PAUSE_MS))
        const found = await withoutKey(client.gets(key))
        const ids = await change(toIds(found?.value))
        if (ids === undefined) return
        // Without an end: a list that ended before its sessions would hide them.
        const isStored =
          found === undefined
            ? await withoutKey(client.add(key, ids, Infinity))
            : (await withoutKey(client.cas(key, ids, found.casUnique, Infinity))) === 'stored'
        if (isStored) return
      }
    } finally {
      endTurn()
    }
    throw new MemcacheServerError('the sessions of one user are begun by too many requests at once', {
      retryable: true,
    })
  }

  async #living(ids: readonly string[]): Promise<string[]> {
    const living = await Promise.all(ids.map((id) => this.#isLiving(id)))
    return ids.filter((_, index) => living[index])
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

function toIds(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((id): id is string => typeof id === 'string') : []
}
