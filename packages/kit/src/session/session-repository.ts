import { setTimeout as delay } from 'node:timers/promises'
import type { MemcachedClient } from 'memcache-ts-client'
import {
  ClientFlags,
  MemcacheDecodeError,
  MemcacheOptionError,
  MemcacheServerError,
  MemcacheUnsupportedError,
} from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { getDefaultMemcache } from '../default-memcache.ts'
import type { Memcache } from '../memcache.ts'
import { ownKey } from '../own-key.ts'
import { SessionCodec, TOMBSTONE } from './session-codec.ts'
import { SessionDirectory } from './session-directory.ts'
import type { EncryptionKey } from './session-encryption.ts'
import { SessionGenerations } from './session-generations.ts'
import { differsAsJson, mergeSessions } from './session-merge.ts'
import type { HasChanged, SessionData } from './session-merge.ts'

const TOMBSTONE_SECONDS = 60
/** Parallel writers of one session that are merged before a write gives up: 8 lost four writes of a hundred. */
const MOST_ATTEMPTS = 64
const LONGEST_PAUSE_MS = 5

/** Options of a `SessionRepository`. */
export interface SessionRepositoryOptions {
  /** The cache that sessions lie in. Default: this process's, found at the first use. */
  cache?: Memcache | undefined
  /** Encrypt what is stored: the first key seals, all open. Default: not encrypted. */
  encryptionKeys?: readonly EncryptionKey[] | undefined
  /** What counts as a change of what is under a top-level key. Default: that it is not the same JSON. */
  hasChanged?: HasChanged | undefined
}

/** Where a session lies. */
interface Place {
  readonly key: string
  /** Whose server that is: with a new generation a session's key is another one, and its server is not. */
  readonly groupKey: string | undefined
}

/** A session as it was read or written: what a later write is merged against. */
export interface SessionSnapshot extends Place {
  /** The session as its request sees it, as JSON. */
  readonly seen: string
  /** The session as it is stored, as JSON: with what other requests wrote that this one has not seen. */
  readonly stored: string
  readonly casUnique: bigint
}

/** A session that was found. */
export interface FoundSession extends SessionSnapshot {
  /** The reader's own, to change. */
  readonly data: SessionData
  /** The seconds that it still lives; `Infinity` where the server does not tell. */
  readonly ttlSeconds: number
  /** Whether reading it has set its lifetime anew. */
  readonly touched: boolean
}

/** The lifetime of a session's data; `undefined` for one that has ended. */
export type LifetimeOf = (data: SessionData) => Ttl | undefined

/** What the repository has open, from its first use on. */
interface Opened {
  readonly cache: Memcache
  readonly client: MemcachedClient
  readonly generations: SessionGenerations
}

/**
 * Sessions in memcached. A write is a compare-and-swap against what its request had read: when another request was
 * faster, the two are merged and tried again. Faults of the cache reject: a login is not dropped in silence.
 */
export class SessionRepository {
  readonly #given: Memcache | undefined
  readonly #codec: SessionCodec
  readonly #hasChanged: HasChanged
  #open: Opened | undefined
  #hasWarned = false

  /** @throws MemcacheOptionError for encryption keys that cannot be. */
  constructor({ cache, encryptionKeys, hasChanged = differsAsJson }: SessionRepositoryOptions = {}) {
    this.#given = cache
    this.#codec = new SessionCodec(encryptionKeys)
    this.#hasChanged = hasChanged
  }

  /** The cache that sessions lie in. */
  get cache(): Memcache {
    return this.#opened.cache
  }

  /**
   * The session with this id; `undefined` when there is none, it was destroyed or cleared, or cannot be opened.
   * @param touchTtl its lifetime from now on; told by `touched` where that could be done in the same round trip.
   */
  async read(id: string, touchTtl?: Ttl): Promise<FoundSession | undefined> {
    const { client, generations } = this.#opened
    const key = this.#key([id])
    const server = client.serverOf(key) ?? ''
    const known = generations.known(server)
    if (known === undefined)
      return isFound(await this.#find(this.#place(await generations.ask(server), key, id), touchTtl))
    const reading = this.#find(this.#place(known.generation, key, id), touchTtl)
    let found: Found
    let { generation } = known
    if (generations.isFresh(known)) {
      found = await reading
      // That there is nothing is true under the generation that holds now: another process may have cleared the sessions.
      if (found === undefined) generation = await generations.ask(server)
    } else {
      ;[found, generation] = await Promise.all([reading, generations.ask(server)])
    }
    return isFound(
      generation === known.generation ? found : await this.#find(this.#place(generation, key, id), touchTtl),
    )
  }

  /**
   * Writes a session, merged with what others wrote meanwhile; returns it as a base for the next write, or `undefined` when it was
   * destroyed meanwhile and stays so.
   * @param base what this request had read; without it the write is unconditional.
   * @throws MemcacheOptionError for what cannot be JSON, MemcacheDecodeError when it was overwritten by what cannot be read here,
   * MemcacheServerError when it is written by too many requests at once.
   */
  async write(
    id: string,
    data: object,
    base: SessionSnapshot | undefined,
    lifetime: Ttl | LifetimeOf,
  ): Promise<SessionSnapshot | undefined> {
    const text = toJson(data)
    if (base === undefined) return this.#create(id, text, lifetime)
    let wanted = base.stored === base.seen ? text : this.#merge(base, text, base.stored)
    let compareCas: bigint | undefined = base.casUnique
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const ttl = lifetimeOf(lifetime, wanted)
      if (ttl === undefined) {
        await this.#bury(base)
        return undefined
      }
      const condition = compareCas === undefined ? ({ mode: 'add' } as const) : { compareCas }
      const result = await this.#store(base, wanted, { ttl, ...condition })
      if (result.status === 'stored') return snapshot(base, text, wanted, result.casUnique)
      const found = await this.#find(base)
      if (found === DESTROYED) return undefined
      if (found === UNREADABLE) {
        throw new MemcacheDecodeError(
          `session ${id} was written meanwhile in a way that this process cannot read: give all processes the same encryptionKeys`,
        )
      }
      if (found === undefined) {
        // Evicted, not destroyed, which would have left its mark: it is made again, unless all were cleared.
        if ((await this.#currentPlace(id)).key !== base.key) return undefined
        compareCas = result.status === 'notStored' ? await this.#casOfUnreadable(base) : undefined
        continue
      }
      wanted = this.#merge(base, text, found.seen)
      compareCas = found.casUnique
      if (attempt > 0) await delay(Math.random() * Math.min(attempt, LONGEST_PAUSE_MS))
    }
    throw new MemcacheServerError(`session ${id} is written by too many requests at once`, { retryable: true })
  }

  /** Writes a session if nobody else has since it was read; `undefined` when somebody has, and it is left to them. */
  async renew(data: object, base: SessionSnapshot, ttl: Ttl): Promise<SessionSnapshot | undefined> {
    const text = toJson(data)
    const { status, casUnique } = await this.#store(base, text, { ttl, compareCas: base.casUnique })
    return status === 'stored' ? snapshot(base, text, text, casUnique) : undefined
  }

  /** Removes a session for good: a request that still writes it finds its mark. */
  async destroy(id: string): Promise<void> {
    await this.#inCurrentPlace(id, (place) => this.#bury(place))
  }

  /** Sets the lifetime of a session that was read anew; returns whether it is still there. */
  async touch({ key, groupKey }: SessionSnapshot, ttl: Ttl): Promise<boolean> {
    return this.#opened.client.touch(key, ttl, { groupKey })
  }

  /**
   * All sessions, by their ids; an id that memcached could not hold comes as its hash. What begins or ends meanwhile may be
   * missed.
   * @throws MemcacheError where a server does not tell what it holds.
   */
  async *entries(): AsyncGenerator<[id: string, data: SessionData]> {
    for await (const { id, key, value } of this.#directory.items()) {
      const opened = value === TOMBSTONE ? undefined : this.#codec.decode(key, value)
      if (opened !== undefined) yield [id, opened.data]
    }
  }

  /** Removes all sessions and nothing else, those that a request still holds included. */
  async clear(): Promise<void> {
    await this.#directory.clear()
  }

  async #create(id: string, text: string, lifetime: Ttl | LifetimeOf): Promise<SessionSnapshot | undefined> {
    const ttl = lifetimeOf(lifetime, text)
    if (ttl === undefined) {
      await this.destroy(id)
      return undefined
    }
    return this.#inCurrentPlace(id, async (place) => {
      const { casUnique } = await this.#store(place, text, { ttl })
      return snapshot(place, text, text, casUnique)
    })
  }

  /**
   * Does something where a session lies, while it is asked whether that is still the place; once more, where it is not: what is
   * written under a generation that is gone would be lost.
   */
  async #inCurrentPlace<Result>(id: string, task: (place: Place) => Promise<Result>): Promise<Result> {
    const key = this.#key([id])
    const known = this.#opened.generations.known(this.#opened.client.serverOf(key) ?? '')
    if (known === undefined) return task(await this.#currentPlace(id))
    const place = this.#place(known.generation, key, id)
    const [result, current] = await Promise.all([task(place), this.#currentPlace(id)])
    return current.key === place.key ? result : task(current)
  }

  /** Where a session lies under the generation that holds now. */
  async #currentPlace(id: string): Promise<Place> {
    const { client, generations } = this.#opened
    const key = this.#key([id])
    return this.#place(await generations.ask(client.serverOf(key) ?? ''), key, id)
  }

  /** @param key the session's key under no generation. */
  #place(generation: string, key: string, id: string): Place {
    if (generation === '') return { key, groupKey: undefined }
    return { key: this.#key([generation, id]), groupKey: key }
  }

  #key(parts: readonly string[]): string {
    return ownKey(this.#opened.cache, 'session', parts)
  }

  async #find(place: Place, touchTtl?: Ttl): Promise<Found> {
    const { key, groupKey } = place
    const { client } = this.#opened
    let item: Fetched | undefined
    let touched = false
    try {
      const found = await client.meta.get(key, { touchTtl, groupKey })
      // Of a value in chunks only the list of them was touched.
      touched = touchTtl !== undefined && found?.clientFlags !== ClientFlags.chunks
      item = found
    } catch (error) {
      if (!(error instanceof MemcacheUnsupportedError)) throw error
      // Without meta commands the lifetime is neither told nor set by reading.
      const found = await client.gets(key, { groupKey })
      item = found && { value: found.value, casUnique: found.casUnique, ttlSeconds: Infinity }
    }
    if (item === undefined) return undefined
    const { value, casUnique, ttlSeconds } = item
    if (value === TOMBSTONE) return DESTROYED
    const opened = this.#codec.decode(key, value)
    if (opened === undefined) {
      this.#warnOfUnreadable()
      return UNREADABLE
    }
    const { text, data } = opened
    return { key, groupKey, data, seen: text, stored: text, casUnique, ttlSeconds, touched }
  }

  #store({ key, groupKey }: Place, text: string, options: { ttl: Ttl; mode?: 'add'; compareCas?: bigint }) {
    return this.#opened.client.meta.set(key, this.#codec.encode(key, text), { ...options, groupKey })
  }

  /** The cas unique of an item that is there and cannot be read: some of its chunks were evicted. */
  async #casOfUnreadable({ key, groupKey }: Place): Promise<bigint | undefined> {
    const { client } = this.#opened
    try {
      return (await client.meta.get(key, { value: false, groupKey }))?.casUnique
    } catch (error) {
      if (!(error instanceof MemcacheUnsupportedError)) throw error
      await client.delete(key, { groupKey })
      return undefined
    }
  }

  async #bury({ key, groupKey }: Place): Promise<void> {
    await this.#opened.client.meta.set(key, TOMBSTONE, { ttl: TOMBSTONE_SECONDS, groupKey })
  }

  #merge(base: SessionSnapshot, mine: string, theirs: string): string {
    const [before, own, others] = [base.seen, mine, theirs].map((text) => JSON.parse(text) as SessionData)
    return JSON.stringify(mergeSessions(before!, own!, others!, this.#hasChanged))
  }

  #warnOfUnreadable(): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    this.#opened.cache.warn(
      'memcache-ts: a stored session cannot be opened, so its owner is a stranger: it was changed, or written with other encryptionKeys',
    )
  }

  get #opened(): Opened {
    return (this.#open ??= this.#openCache())
  }

  #openCache(): Opened {
    const cache = this.#given ?? getDefaultMemcache()
    return { cache, client: cache.client, generations: new SessionGenerations(cache.client, cache.clock) }
  }

  get #directory(): SessionDirectory {
    const { client, generations } = this.#opened
    return new SessionDirectory(client, generations)
  }
}

/** What a session that was destroyed is found as. */
const DESTROYED = 'destroyed'

/** What an item is found as that is no session, or sealed by a key that is not known here. */
const UNREADABLE = 'unreadable'

type Found = FoundSession | typeof DESTROYED | typeof UNREADABLE | undefined
type Fetched = Pick<FoundSession, 'casUnique' | 'ttlSeconds'> & { readonly value: unknown }

function isFound(found: Found): FoundSession | undefined {
  return found === DESTROYED || found === UNREADABLE ? undefined : found
}

function snapshot({ key, groupKey }: Place, seen: string, stored: string, casUnique: bigint): SessionSnapshot {
  return { key, groupKey, seen, stored, casUnique }
}

function lifetimeOf(lifetime: Ttl | LifetimeOf, text: string): Ttl | undefined {
  return typeof lifetime === 'function' ? lifetime(JSON.parse(text) as SessionData) : lifetime
}

function toJson(data: object): string {
  try {
    return JSON.stringify(data)
  } catch (cause) {
    const reason = (cause as Error).message.split('\n', 1)[0]!
    throw new MemcacheOptionError(`the session cannot be stored: it has to be JSON (${reason})`, { cause })
  }
}
