import { setTimeout as delay } from 'node:timers/promises'
import type { MemcachedClient } from 'memcache-ts-client'
import { MemcacheDecodeError } from 'memcache-ts-protocol'
import type { MemcacheError, Ttl } from 'memcache-ts-protocol'
import { getDefaultMemcache } from '../default-memcache.ts'
import { engineOf, ownKey } from '../engine/engine.ts'
import type { Memcache } from '../memcache.ts'
import { isTombstone, SessionCodec, SessionText, toJson, TOMBSTONE } from './session-codec.ts'
import { SessionDirectory } from './session-directory.ts'
import type { EncryptionKey } from './session-encryption.ts'
import { checkEncryptionKeys } from './session-encryption.ts'
import { CONFLICT, isDown, keyless, tooManyWriters, withoutKey } from './session-errors.ts'
import { SessionGenerations } from './session-generations.ts'
import { SessionIndex, Turns } from './session-index.ts'
import { casOfUndecodable, DESTROYED, fetchItem, foundIn, lifetimeOf, UNDECODABLE, UNREADABLE } from './session-item.ts'
import type {
  Found,
  FoundSession,
  LifetimeOf,
  NewState,
  Place,
  Retirement,
  SessionSnapshot,
  StoredTexts,
} from './session-item.ts'
import { SessionLocks } from './session-locks.ts'
import { differsAsJson, mergeSessions } from './session-merge.ts'
import type { HasChanged, SessionData } from './session-merge.ts'

/**
 * A session whose item was evicted is stored again only within this time after it was read. Later, the missing item may
 * be a destroyed session whose tombstone has expired; so tombstones have to outlive this time.
 */
const RECREATE_WITHIN_SECONDS = 600
const TOMBSTONE_SECONDS = RECREATE_WITHIN_SECONDS + 60
/** The maximum number of times that a write is merged with another request's write before it fails. */
const MAX_ATTEMPTS = 256
const MAX_PAUSE_MS = 16
/**
 * How often a session is read again after a failure that leaves open whether it was destroyed, within about a third of
 * a second.
 */
const MAX_LOST = 4
const LOST_PAUSE_MS = 4

/** Options of a `SessionRepository`. */
export interface SessionRepositoryOptions {
  /** The cache that stores the sessions. Default: the default cache of this process, opened at the first use. */
  cache?: Memcache | undefined
  /** The keys that encrypt sessions: the first encrypts, all decrypt. Default: sessions are not encrypted. */
  encryptionKeys?: readonly EncryptionKey[] | undefined
  /** Decides whether the value of a top-level key has changed. Default: whether its JSON differs. */
  hasChanged?: HasChanged | undefined
}

/** A write of a request, with the state that the request had read before. */
interface Change extends NewState {
  readonly text: string
  /** This text, merged with the changes of other requests that were known when the session was read. */
  readonly wanted: string
  readonly base: SessionSnapshot
}

/** The resources of a repository, opened at its first use. */
interface Opened {
  readonly cache: Memcache
  readonly client: MemcachedClient
  readonly generations: SessionGenerations
}

/**
 * Stores sessions in memcached. A write is a compare-and-swap against the state that its request had read: if another
 * request was faster, the two changes are merged, and the write is tried again. If the cache fails, the promise
 * rejects, so that no login is lost silently.
 *
 * @example
 *   const sessions = new SessionRepository({ cache })
 *   const found = await sessions.read(id)
 */
export class SessionRepository {
  readonly #given: Memcache | undefined
  readonly #codec: SessionCodec
  readonly #hasChanged: HasChanged
  readonly #turns = new Turns()
  /** The ids of each user's sessions. */
  readonly index: SessionIndex
  readonly locks: SessionLocks
  #open: Opened | undefined
  #hasWarned = false

  /** @throws MemcacheOptionError if `encryptionKeys` is invalid, or set without a key. */
  constructor(options: SessionRepositoryOptions = {}) {
    const { cache, encryptionKeys, hasChanged = differsAsJson } = options
    this.#given = cache
    this.#codec = new SessionCodec(checkEncryptionKeys(options, encryptionKeys))
    this.#hasChanged = hasChanged
    const place = {
      client: () => this.#opened.client,
      key: (parts: readonly string[]) => this.#key(parts),
      nowMs: () => this.#opened.cache.clock.nowMs(),
    }
    this.index = new SessionIndex(place, async (id) => this.isGone(id))
    this.locks = new SessionLocks(place)
  }

  /** The cache that stores the sessions. */
  get cache(): Memcache {
    return this.#opened.cache
  }

  /**
   * Returns the session with this id; `undefined` if there is none, or it was destroyed or cleared, or it cannot be
   * decrypted.
   *
   * @param touchTtl the new lifetime; `touched` of the result is true if the read has set it.
   */
  async read(id: string, touchTtl?: Ttl): Promise<FoundSession | undefined> {
    return foundIn(await this.#look(id, touchTtl))
  }

  /**
   * Returns whether there is certainly no session with this id. A session that this process cannot decrypt counts as
   * existing.
   */
  async isGone(id: string): Promise<boolean> {
    const found = await this.#look(id)
    return found === undefined || found === DESTROYED
  }

  async #look(id: string, touchTtl?: Ttl): Promise<Found> {
    try {
      const { client, generations } = this.#opened
      const key = this.#key([id])
      const server = client.serverOf(key) ?? ''
      const known = generations.known(server)
      if (known === undefined) {
        return await this.#find(this.#place(await generations.read(server), key, id), touchTtl)
      }
      const reading = this.#find(this.#place(known.generation, key, id), touchTtl)
      let found: Found
      let { generation } = known
      if (generations.isFresh(known)) {
        found = await reading
        // A miss has to be checked under the current generation: another process may have cleared the sessions.
        if (found === undefined) generation = await generations.read(server)
      } else {
        ;[found, generation] = await Promise.all([reading, generations.read(server)])
      }
      if (generation !== known.generation) found = await this.#find(this.#place(generation, key, id), touchTtl)
      return found
    } catch (error) {
      throw keyless(error)
    }
  }

  /**
   * Writes a session, merged with the writes of others since it was read. Returns the base for the next write;
   * `undefined` if the session was destroyed meanwhile, and stays destroyed.
   *
   * @param base the state that this request had read; without it the write is unconditional.
   * @throws MemcacheOptionError if the session is not JSON, MemcacheDecodeError if it was overwritten by data that this
   *   process cannot read, MemcacheServerError if too many requests write it at once.
   */
  // oxlint-disable-next-line max-params -- a public method
  write(
    id: string,
    data: object,
    base: SessionSnapshot | undefined,
    lifetime: Ttl | LifetimeOf,
  ): Promise<SessionSnapshot | undefined> {
    return withoutKey(this.#write({ id, data: data as SessionData, lifetime }, base))
  }

  async #write(session: NewState, base: SessionSnapshot | undefined): Promise<SessionSnapshot | undefined> {
    const text = toJson(session.data)
    if (base === undefined) return this.#create(session, text)
    const wanted = base.stored === base.seen ? text : this.#merge(base, text, base.stored.whole)
    const change: Change = { ...session, text, wanted, base }
    const outcome = await this.#compareAndSwap(change, wanted, base.casUnique)
    if (outcome !== CONFLICT) return outcome
    // Writers of one session in this process take turns: otherwise each would need more attempts, the more writers
    // there are.
    const endTurn = await this.#turns.take(base.key)
    try {
      return await this.#writeMerged(change)
    } finally {
      endTurn()
    }
  }

  /** Merges a change with the stored session and writes the result, again until no other writer is faster. */
  async #writeMerged(change: Change): Promise<SessionSnapshot | undefined> {
    const { id, text, wanted, base } = change
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      // The pause comes before the read: between a read and its write, others would be faster.
      if (attempt > 0) await delay(Math.random() * Math.min(2 ** attempt, MAX_PAUSE_MS))
      const found = await this.#find(base)
      if (found === DESTROYED) return undefined
      if (found === UNREADABLE) {
        throw new MemcacheDecodeError(
          'the session was overwritten by another process with data that this process cannot read: give all processes the same encryptionKeys',
        )
      }
      let outcome
      if (found === undefined) {
        // The item was evicted, since destroying it would have left a tombstone. Store it again, unless all sessions
        // were cleared.
        if (this.#ageMsOf(base) > RECREATE_WITHIN_SECONDS * 1000) return undefined
        if ((await this.#currentPlace(id)).key !== base.key) return undefined
        outcome = await this.#compareAndSwap(change, wanted, await casOfUndecodable(this.#opened.client, base))
      } else outcome = await this.#compareAndSwap(change, this.#merge(base, text, found.seen.whole), found.casUnique)
      if (outcome !== CONFLICT) return outcome
    }
    throw tooManyWriters()
  }

  /**
   * Makes one attempt.
   *
   * @param compareCas `undefined` if no item may exist.
   */
  async #compareAndSwap(
    { data, text, base, lifetime }: Change,
    wanted: string,
    compareCas: bigint | undefined,
  ): Promise<SessionSnapshot | typeof CONFLICT | undefined> {
    const ttl = lifetimeOf(lifetime, wanted === text ? data : wanted)
    if (ttl === undefined) {
      await this.#bury(base)
      return undefined
    }
    const condition = compareCas === undefined ? ({ mode: 'add' } as const) : { compareCas }
    const { status, casUnique } = await this.#store(base, wanted, { ttl, ...condition })
    return status === 'stored' ? this.#snapshot(base, { seen: text, stored: wanted, casUnique }) : CONFLICT
  }

  /**
   * Writes a session unless another request has written it since it was read. In this case, it returns `undefined`, and
   * the other write stays in place.
   */
  async renew(data: object, base: SessionSnapshot, ttl: Ttl): Promise<SessionSnapshot | undefined> {
    const text = toJson(data)
    const storing = this.#store(base, text, { ttl, compareCas: base.casUnique })
    const { status, casUnique } = await withoutKey(storing)
    return status === 'stored' ? this.#snapshot(base, { seen: text, stored: text, casUnique }) : undefined
  }

  /** Destroys a session. Its tombstone stops requests that still want to write it. */
  async destroy(id: string): Promise<void> {
    await withoutKey(this.#inCurrentPlace(id, (place) => this.#bury(place)))
  }

  /**
   * Destroys a session that another one replaces, after handing over the writes of others since it was read.
   *
   * @param id the id of the session.
   * @param base the session as it was read.
   * @param tombstone a unique tombstone from `newTombstone`: if the response to the write was lost, it shows whether
   *   the stored tombstone is this call's.
   * @param handOver called with the current session, each time that it has changed.
   */
  async retire(
    id: string,
    base: SessionSnapshot,
    { tombstone, handOver }: { tombstone: string; handOver: (now: SessionText) => Promise<void> },
  ): Promise<Retirement> {
    let casUnique: bigint | undefined = base.casUnique
    let isUnknown = false
    for (let attempt = 0, failures = 0; ; attempt++) {
      try {
        let isBuried = false
        if (attempt > 0) {
          const maxPauseMs = failures > 0 ? LOST_PAUSE_MS * 4 ** (failures - 1) : Math.min(2 ** attempt, MAX_PAUSE_MS)
          await delay(Math.random() * maxPauseMs)
          const item = await fetchItem(this.#opened.client, base)
          if (item === undefined) {
            if (this.#ageMsOf(base) > RECREATE_WITHIN_SECONDS * 1000) return { outcome: 'destroyed' }
            casUnique = undefined
          } else if (item === UNDECODABLE) casUnique = await casOfUndecodable(this.#opened.client, base)
          else if (item.value === tombstone) isBuried = true
          else if (isTombstone(item.value)) return { outcome: 'destroyed' }
          else {
            const data = this.#codec.decode(base.key, item.value)
            if (data !== undefined) await handOver(SessionText.of(data))
            casUnique = item.casUnique
          }
        }
        const placing = this.#currentPlace(id)
        placing.catch(() => {})
        try {
          if (!isBuried) isBuried = await this.#buryIf(base, tombstone, casUnique)
          isUnknown ||= isBuried
        } catch (error) {
          isUnknown ||= (error as Partial<MemcacheError>).ambiguous === true
          throw error
        }
        // All sessions may have been cleared meanwhile, which starts a new generation.
        if ((await placing).key !== base.key) return { outcome: 'destroyed' }
        if (isBuried) return { outcome: 'retired' }
        if (attempt === MAX_ATTEMPTS) throw tooManyWriters()
      } catch (error) {
        if (isDown(error) && ++failures <= MAX_LOST && attempt < MAX_ATTEMPTS) continue
        return { outcome: isUnknown ? 'unknown' : 'kept', error: keyless(error) }
      }
    }
  }

  /**
   * Restores a session that `retire` has destroyed.
   *
   * @param place the place of the session as it was read.
   * @param tombstone the tombstone of its retirement; if another one is stored, the session stays destroyed.
   * @returns whether the session was restored.
   */
  async revive(place: Place, data: SessionData, { tombstone, ttl }: { tombstone: string; ttl: Ttl }): Promise<boolean> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const item = await withoutKey(fetchItem(this.#opened.client, place))
      if (item === undefined || item === UNDECODABLE || item.value !== tombstone) return false
      const storing = this.#store(place, toJson(data), { ttl, compareCas: item.casUnique })
      if ((await withoutKey(storing)).status === 'stored') return true
    }
    throw tooManyWriters()
  }

  /**
   * Replaces the item that was read by a tombstone; returns whether the tombstone was stored.
   *
   * @param compareCas `undefined` if no item may exist.
   */
  async #buryIf({ key, groupKey }: Place, tombstone: string, compareCas: bigint | undefined): Promise<boolean> {
    const condition = compareCas === undefined ? ({ mode: 'add' } as const) : { compareCas }
    const options = { ttl: TOMBSTONE_SECONDS, groupKey, ...condition }
    const { status } = await this.#opened.client.meta.set(key, tombstone, options)
    return status === 'stored'
  }

  /**
   * Sets the lifetime of a session that was read; returns whether the session still exists. A tombstone keeps its own
   * lifetime.
   */
  async touch(place: SessionSnapshot, ttl: Ttl): Promise<boolean> {
    const found = foundIn(await withoutKey(this.#find(place, ttl)))
    if (found === undefined) return false
    const { key, groupKey } = place
    return found.touched || withoutKey(this.#opened.client.touch(key, ttl, { groupKey }))
  }

  /**
   * Yields all sessions with their ids; an id too long for a memcached key is yielded as its hash. Sessions that are
   * created or destroyed meanwhile may be missed.
   *
   * @throws MemcacheError if a server cannot list its keys.
   */
  async *entries(): AsyncGenerator<[id: string, data: SessionData]> {
    for await (const { id, key, value } of this.#directory.items()) {
      const data = isTombstone(value) ? undefined : this.#codec.decode(key, value)
      if (data !== undefined) yield [id, data]
    }
  }

  /** Destroys all sessions, including those that a request is using, and no other items. */
  async clear(): Promise<void> {
    await this.#directory.clear()
  }

  async #create({ id, data, lifetime }: NewState, text: string): Promise<SessionSnapshot | undefined> {
    const ttl = lifetimeOf(lifetime, data)
    if (ttl === undefined) {
      await this.destroy(id)
      return undefined
    }
    return this.#inCurrentPlace(id, async (place) => {
      const { casUnique } = await this.#store(place, text, { ttl })
      return this.#snapshot(place, { seen: text, stored: text, casUnique })
    })
  }

  /**
   * Runs a task in the place of a session while checking that the place is current. If it is not, runs the task again
   * in the current place, since a write under an old generation would be lost.
   */
  async #inCurrentPlace<Result>(id: string, task: (place: Place) => Promise<Result>): Promise<Result> {
    const key = this.#key([id])
    const known = this.#opened.generations.known(this.#opened.client.serverOf(key) ?? '')
    if (known === undefined) return task(await this.#currentPlace(id))
    const place = this.#place(known.generation, key, id)
    const [result, current] = await Promise.all([task(place), this.#currentPlace(id)])
    return current.key === place.key ? result : task(current)
  }

  /** Returns the place of a session under the current generation. */
  async #currentPlace(id: string): Promise<Place> {
    const { client, generations } = this.#opened
    const key = this.#key([id])
    return this.#place(await generations.read(client.serverOf(key) ?? ''), key, id)
  }

  /** @param key the key of the session without a generation. */
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
    const item = await fetchItem(client, place, touchTtl)
    if (item === undefined) return undefined
    if (item === UNDECODABLE) return this.#unreadable()
    const { value, casUnique, ttlSeconds, touched } = item
    if (isTombstone(value)) {
      await this.#keepTombstone(place, touchTtl)
      return DESTROYED
    }
    const data = this.#codec.decode(key, value)
    if (data === undefined) return this.#unreadable()
    const text = SessionText.of(data)
    return { key, groupKey, data, seen: text, stored: text, casUnique, ...this.#now(), ttlSeconds, touched }
  }

  #snapshot({ key, groupKey }: Place, { seen, stored, casUnique }: StoredTexts): SessionSnapshot {
    const text = SessionText.ofJson(seen)
    return {
      key,
      groupKey,
      seen: text,
      stored: seen === stored ? text : SessionText.ofJson(stored),
      casUnique,
      ...this.#now(),
    }
  }

  #now(): Pick<SessionSnapshot, 'atMs' | 'monotonicMs'> {
    return { atMs: this.#opened.cache.clock.nowMs(), monotonicMs: performance.now() }
  }

  /**
   * Returns the age of a base in milliseconds, the larger of two clocks: if only the wall clock were used and set back,
   * the base could outlive a tombstone.
   */
  #ageMsOf({ atMs, monotonicMs }: SessionSnapshot): number {
    const now = this.#now()
    return Math.max(now.atMs - atMs, now.monotonicMs - monotonicMs)
  }

  #store({ key, groupKey }: Place, text: string, options: { ttl: Ttl; mode?: 'add'; compareCas?: bigint }) {
    return this.#opened.client.meta.set(key, this.#codec.encode(key, text), { ...options, groupKey })
  }

  async #bury({ key, groupKey }: Place): Promise<void> {
    await this.#opened.client.meta.set(key, TOMBSTONE, { ttl: TOMBSTONE_SECONDS, groupKey })
  }

  /** Restores the lifetime of a tombstone after a read has set it to that of a session: it has to outlive all bases. */
  async #keepTombstone({ key, groupKey }: Place, touchTtl: Ttl | undefined): Promise<void> {
    if (typeof touchTtl !== 'number' || touchTtl >= TOMBSTONE_SECONDS) return
    await this.#opened.client.touch(key, TOMBSTONE_SECONDS, { groupKey })
  }

  /** Returns a session merged with the writes of others since it was read. */
  merged(base: SessionSnapshot, mine: object, now: SessionText): SessionData {
    return JSON.parse(this.#merge(base, toJson(mine), now.whole)) as SessionData
  }

  #merge(base: SessionSnapshot, mine: string, theirs: string): string {
    const [before, own, others] = [base.seen.whole, mine, theirs].map((text) => JSON.parse(text) as SessionData)
    return JSON.stringify(mergeSessions({ base: before!, mine: own!, theirs: others! }, this.#hasChanged))
  }

  /**
   * Treats an item that is no readable session as a miss, and warns once. An error would lock the user out for as long
   * as the cookie lives.
   */
  #unreadable(): typeof UNREADABLE {
    if (this.#hasWarned) return UNREADABLE
    this.#hasWarned = true
    engineOf(this.#opened.cache).host.log.warn(
      'memcache-ts: a stored session cannot be read, so its user gets a new one: it was changed by another program, or written with other encryptionKeys. Give all processes the same encryptionKeys, old ones included',
    )
    return UNREADABLE
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
