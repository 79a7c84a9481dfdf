import { setTimeout as delay } from 'node:timers/promises'
import type { MemcachedClient } from 'memcache-ts-client'
import { ClientFlags, MemcacheOptionError, MemcacheServerError, MemcacheUnsupportedError } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { KeyPrefix } from '../cache-key.ts'
import { getDefaultMemcache } from '../default-memcache.ts'
import type { Memcache } from '../memcache.ts'
import { SessionCodec, TOMBSTONE } from './session-codec.ts'
import type { OpenedSession } from './session-codec.ts'
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

/** A session as it was read or written: what a later write is merged against. */
export interface SessionSnapshot {
  readonly key: string
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
    const key = this.#key('', id)
    const server = client.serverOf(key) ?? ''
    const known = generations.known(server)
    if (known === undefined) return isFound(await this.#find(this.#key(await generations.ask(server), id), touchTtl))
    const reading = this.#find(known.generation === '' ? key : this.#key(known.generation, id), touchTtl)
    let found: Found
    let { generation } = known
    if (generations.isFresh(known)) {
      found = await reading
      // That there is nothing is true under the generation that holds now: another process may have cleared the sessions.
      if (found === undefined) generation = await generations.ask(server)
    } else {
      ;[found, generation] = await Promise.all([reading, generations.ask(server)])
    }
    return isFound(generation === known.generation ? found : await this.#find(this.#key(generation, id), touchTtl))
  }

  /**
   * Writes a session, merged with what others wrote meanwhile; returns it as a base for the next write, or `undefined` when it was
   * destroyed meanwhile and stays so.
   * @param base what this request had read; without it the write is unconditional.
   * @throws MemcacheServerError when it is written by too many requests at once; what cannot be JSON, as an option error.
   */
  async write(
    id: string,
    data: object,
    base: SessionSnapshot | undefined,
    lifetime: Ttl | LifetimeOf,
  ): Promise<SessionSnapshot | undefined> {
    const text = toJson(data)
    if (base === undefined) return this.#create(id, text, lifetime)
    const { key } = base
    let wanted = base.stored === base.seen ? text : this.#merge(base, text, base.stored)
    let compareCas: bigint | undefined = base.casUnique
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const ttl = lifetimeOf(lifetime, wanted)
      if (ttl === undefined) {
        await this.#bury(key)
        return undefined
      }
      const condition = compareCas === undefined ? ({ mode: 'add' } as const) : { compareCas }
      const result = await this.#store(key, wanted, { ttl, ...condition })
      if (result.status === 'stored') return { key, seen: text, stored: wanted, casUnique: result.casUnique }
      const found = await this.#find(key)
      if (found === DESTROYED) return undefined
      if (found === undefined) {
        // Evicted, not destroyed, which would have left its mark: it is made again, unless all were cleared.
        if (this.#key(await this.#opened.generations.ask(this.#serverOf(id)), id) !== key) return undefined
        compareCas = result.status === 'notStored' ? await this.#casOfUnreadable(key) : undefined
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
    const { key, casUnique: compareCas } = base
    const text = toJson(data)
    const { status, casUnique } = await this.#store(key, text, { ttl, compareCas })
    return status === 'stored' ? { key, seen: text, stored: text, casUnique } : undefined
  }

  /** Removes a session for good: a request that still writes it finds its mark. */
  async destroy(id: string): Promise<void> {
    await this.#underCurrentKey(id, (key) => this.#bury(key))
  }

  /** Sets the lifetime of a session that was read anew; returns whether it is still there. */
  async touch({ key }: SessionSnapshot, ttl: Ttl): Promise<boolean> {
    return this.#opened.client.touch(key, ttl)
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
    return this.#underCurrentKey(id, async (key) => {
      const { casUnique } = await this.#store(key, text, { ttl })
      return { key, seen: text, stored: text, casUnique }
    })
  }

  /**
   * Does something under a session's key, while it is asked whether that is still the one; once more, where it is not: what
   * is written under a generation that is gone would be lost.
   */
  async #underCurrentKey<Result>(id: string, task: (key: string) => Promise<Result>): Promise<Result> {
    const { generations } = this.#opened
    const server = this.#serverOf(id)
    const known = generations.known(server)?.generation
    if (known === undefined) return task(this.#key(await generations.ask(server), id))
    const [result, generation] = await Promise.all([task(this.#key(known, id)), generations.ask(server)])
    return generation === known ? result : task(this.#key(generation, id))
  }

  async #find(key: string, touchTtl?: Ttl): Promise<Found> {
    const item = await this.#fetch(key, touchTtl)
    if (item === undefined) return undefined
    if (item.value === TOMBSTONE) return DESTROYED
    const opened = this.#codec.decode(key, item.value)
    if (opened === undefined) this.#warnOfUnreadable()
    return opened && foundSession(key, opened, item)
  }

  /** Without meta commands the lifetime is neither told nor set by reading. */
  async #fetch(key: string, touchTtl: Ttl | undefined): Promise<Fetched | undefined> {
    const { client } = this.#opened
    try {
      const item = await client.meta.get(key, touchTtl === undefined ? undefined : { touchTtl })
      if (item === undefined) return undefined
      const { value, casUnique, ttlSeconds, clientFlags } = item
      // Of a value in chunks only the list of them was touched.
      return { value, casUnique, ttlSeconds, touched: touchTtl !== undefined && clientFlags !== ClientFlags.chunks }
    } catch (error) {
      if (!(error instanceof MemcacheUnsupportedError)) throw error
      const item = await client.gets(key)
      return item && { ...item, ttlSeconds: Infinity, touched: false }
    }
  }

  #store(key: string, text: string, options: { ttl: Ttl; mode?: 'add'; compareCas?: bigint }) {
    return this.#opened.client.meta.set(key, this.#codec.encode(key, text), options)
  }

  /** The cas unique of an item that is there and cannot be read: some of its chunks were evicted. */
  async #casOfUnreadable(key: string): Promise<bigint | undefined> {
    try {
      return (await this.#opened.client.meta.get(key, { value: false }))?.casUnique
    } catch (error) {
      if (!(error instanceof MemcacheUnsupportedError)) throw error
      await this.#opened.client.delete(key)
      return undefined
    }
  }

  async #bury(key: string): Promise<void> {
    await this.#opened.client.meta.set(key, TOMBSTONE, { ttl: TOMBSTONE_SECONDS })
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

  #serverOf(id: string): string {
    return this.#opened.client.serverOf(this.#key('', id)) ?? ''
  }

  #key(generation: string, id: string): string {
    const parts = generation === '' ? [KeyPrefix.session, id] : [KeyPrefix.session, generation, id]
    return this.#opened.cache.key(parts)
  }
}

/** What a session that was destroyed is found as. */
const DESTROYED = 'destroyed'

type Found = FoundSession | typeof DESTROYED | undefined
type Fetched = Pick<FoundSession, 'casUnique' | 'ttlSeconds' | 'touched'> & { readonly value: unknown }

function isFound(found: Found): FoundSession | undefined {
  return found === DESTROYED ? undefined : found
}

function foundSession(key: string, { text, data }: OpenedSession, item: Fetched): FoundSession {
  const { casUnique, ttlSeconds, touched } = item
  return { key, data, seen: text, stored: text, casUnique, ttlSeconds, touched }
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
