import { setTimeout as delay } from 'node:timers/promises'
import type { MemcachedClient } from 'memcache-ts-client'
import { MemcacheDecodeError, MemcacheServerError } from 'memcache-ts-protocol'
import type { MemcacheError, Ttl } from 'memcache-ts-protocol'
import { getDefaultMemcache } from '../default-memcache.ts'
import { engineOf } from '../engine/engine.ts'
import type { Memcache } from '../memcache.ts'
import { ownKey } from '../own-key.ts'
import { isTombstone, SessionCodec, TOMBSTONE } from './session-codec.ts'
import { SessionDirectory } from './session-directory.ts'
import type { EncryptionKey } from './session-encryption.ts'
import { checkEncryptionKeys } from './session-encryption.ts'
import { isDown, keyless, withoutKey } from './session-errors.ts'
import { SessionGenerations } from './session-generations.ts'
import { SessionIndex } from './session-index.ts'
import { casOfUndecodable, fetchItem, UNDECODABLE } from './session-item.ts'
import type { Place } from './session-item.ts'
import { SessionLocks } from './session-locks.ts'
import { differsAsJson, mergeSessions } from './session-merge.ts'
import type { HasChanged, SessionData } from './session-merge.ts'
import { DESTROYED, foundIn, lifetimeOf, UNREADABLE } from './session-snapshot.ts'
import type { Found, FoundSession, LifetimeOf, Retirement, SessionSnapshot } from './session-snapshot.ts'
import { SessionText, toJson } from './session-text.ts'
import { Turns } from './turns.ts'

/**
 * How long after it was read a session is made again if its item was evicted. Nothing older is: after that a missing
 * item may as well be a session that was destroyed and whose tombstone has ended, which therefore has to outlive this.
 */
const RECREATE_WITHIN_SECONDS = 600
const TOMBSTONE_SECONDS = RECREATE_WITHIN_SECONDS + 60
/** How often a write is merged with a faster one before it gives up; writers in one process take turns. */
const MAX_ATTEMPTS = 256
const MAX_PAUSE_MS = 16
/**
 * How often a session is looked at again whose end may have been carried out although its response was lost, within a
 * third of a second.
 */
const MAX_LOST = 4
const LOST_PAUSE_MS = 4

/** Options of a `SessionRepository`. */
export interface SessionRepositoryOptions {
  /** The cache that stores the sessions. Default: this process's, found at the first use. */
  cache?: Memcache | undefined
  /** Encrypt what is stored: the first key seals, all open. Default: not encrypted. */
  encryptionKeys?: readonly EncryptionKey[] | undefined
  /** Decides whether the value of a top-level key has changed. Default: if its JSON differs. */
  hasChanged?: HasChanged | undefined
}

/** A write of a request, with the state that the request had read. */
interface Change {
  readonly id: string
  /** The session as its request has it. */
  readonly data: SessionData
  readonly text: string
  /** The same with what was known to be stored besides. */
  readonly wanted: string
  readonly base: SessionSnapshot
  readonly lifetime: Ttl | LifetimeOf
}

/** The resources of a repository, opened at its first use. */
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
  readonly #turns = new Turns()
  /** The ids of each user's sessions. */
  readonly index: SessionIndex
  readonly locks: SessionLocks
  #open: Opened | undefined
  #hasWarned = false

  /** @throws MemcacheOptionError if encryption keys are invalid, or named but not given. */
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
   * The session with this id; `undefined` when there is none, it was destroyed or cleared, or cannot be opened.
   *
   * @param touchTtl its lifetime from now on; told by `touched` where that could be done in the same round trip.
   */
  async read(id: string, touchTtl?: Ttl): Promise<FoundSession | undefined> {
    return foundIn(await this.#look(id, touchTtl))
  }

  /** Whether there is certainly no session with this id; one that cannot be opened here may be opened by others. */
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
        return await this.#find(this.#place(await generations.ask(server), key, id), touchTtl)
      }
      const reading = this.#find(this.#place(known.generation, key, id), touchTtl)
      let found: Found
      let { generation } = known
      if (generations.isFresh(known)) {
        found = await reading
        // A miss has to be checked under the current generation: another process may have cleared the sessions.
        if (found === undefined) generation = await generations.ask(server)
      } else {
        ;[found, generation] = await Promise.all([reading, generations.ask(server)])
      }
      if (generation !== known.generation) found = await this.#find(this.#place(generation, key, id), touchTtl)
      return found
    } catch (error) {
      throw keyless(error)
    }
  }

  /**
   * Writes a session, merged with what others wrote meanwhile; returns it as a base for the next write, or `undefined`
   * when it was destroyed meanwhile and stays so.
   *
   * @param base what this request had read; without it the write is unconditional.
   * @throws MemcacheOptionError for what cannot be JSON, MemcacheDecodeError when it was overwritten by what cannot be
   *   read here, MemcacheServerError when it is written by too many requests at once.
   */
  write(
    id: string,
    data: object,
    base: SessionSnapshot | undefined,
    lifetime: Ttl | LifetimeOf,
  ): Promise<SessionSnapshot | undefined> {
    return withoutKey(this.#write(id, data as SessionData, base, lifetime))
  }

  // oxlint-disable-next-line max-params -- as `write`
  async #write(
    id: string,
    data: SessionData,
    base: SessionSnapshot | undefined,
    lifetime: Ttl | LifetimeOf,
  ): Promise<SessionSnapshot | undefined> {
    const text = toJson(data)
    if (base === undefined) return this.#create(id, data, text, lifetime)
    const wanted = base.stored === base.seen ? text : this.#merge(base, text, base.stored.whole)
    const change: Change = { id, data, text, wanted, base, lifetime }
    const outcome = await this.#compareAndSwap(change, wanted, base.casUnique)
    if (outcome !== CONFLICT) return outcome
    // Writers of one session in this process take turns: otherwise the more there are, the more often each has to try.
    const endTurn = await this.#turns.take(base.key)
    try {
      return await this.#writeMerged(change)
    } finally {
      endTurn()
    }
  }

  /** Writes what merging a change with what is stored now gives, until nobody else is faster. */
  async #writeMerged(change: Change): Promise<SessionSnapshot | undefined> {
    const { id, text, wanted, base } = change
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      // Before reading: between a read and its write others would be faster.
      if (attempt > 0) await delay(Math.random() * Math.min(2 ** attempt, MAX_PAUSE_MS))
      const found = await this.#find(base)
      if (found === DESTROYED) return undefined
      if (found === UNREADABLE) {
        throw new MemcacheDecodeError(
          'a session was written meanwhile in a way that this process cannot read: give all processes the same encryptionKeys',
        )
      }
      let outcome
      if (found === undefined) {
        // Evicted, not destroyed, which would have left its tombstone: it is made again, unless all were cleared.
        if (this.#ageMsOf(base) > RECREATE_WITHIN_SECONDS * 1000) return undefined
        if ((await this.#currentPlace(id)).key !== base.key) return undefined
        outcome = await this.#compareAndSwap(change, wanted, await casOfUndecodable(this.#opened.client, base))
      } else outcome = await this.#compareAndSwap(change, this.#merge(base, text, found.seen.whole), found.casUnique)
      if (outcome !== CONFLICT) return outcome
    }
    throw tooManyWriters()
  }

  /** One attempt. @param compareCas `undefined`: there must be nothing yet. */
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
    return status === 'stored' ? this.#snapshot(base, text, wanted, casUnique) : CONFLICT
  }

  /** Writes a session unless another request has since it was read; `undefined` if one has, whose write stays. */
  async renew(data: object, base: SessionSnapshot, ttl: Ttl): Promise<SessionSnapshot | undefined> {
    const text = toJson(data)
    const storing = this.#store(base, text, { ttl, compareCas: base.casUnique })
    const { status, casUnique } = await withoutKey(storing)
    return status === 'stored' ? this.#snapshot(base, text, text, casUnique) : undefined
  }

  /** Removes a session for good: a request that still writes it finds its tombstone. */
  async destroy(id: string): Promise<void> {
    await withoutKey(this.#inCurrentPlace(id, (place) => this.#bury(place)))
  }

  /**
   * Destroys a session whose place another one has taken. What others have written into it since it was read is handed
   * over first.
   *
   * @param id its id.
   * @param base what was read of it.
   * @param tombstone of this call alone, by `newTombstone`: if the response to the write was lost, it tells whose
   *   tombstone is there.
   * @param handOver called with the session as it is now, each time that it has changed.
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
        const asking = this.#currentPlace(id)
        asking.catch(() => {})
        try {
          if (!isBuried) isBuried = await this.#buryIf(base, tombstone, casUnique)
          isUnknown ||= isBuried
        } catch (error) {
          isUnknown ||= (error as Partial<MemcacheError>).ambiguous === true
          throw error
        }
        // All sessions may have been cleared meanwhile.
        if ((await asking).key !== base.key) return { outcome: 'destroyed' }
        if (isBuried) return { outcome: 'retired' }
        if (attempt === MAX_ATTEMPTS) throw tooManyWriters()
      } catch (error) {
        if (isDown(error) && ++failures <= MAX_LOST && attempt < MAX_ATTEMPTS) continue
        return { outcome: isUnknown ? 'unknown' : 'kept', error: keyless(error) }
      }
    }
  }

  /**
   * Brings a session back that `retire` has destroyed.
   *
   * @param place of what was read of it.
   * @param tombstone the one of its retirement; under another one it stays destroyed.
   * @returns whether it is back.
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

  /** Puts a tombstone in the place of what was read. @param compareCas `undefined`: there must be nothing. */
  async #buryIf({ key, groupKey }: Place, tombstone: string, compareCas: bigint | undefined): Promise<boolean> {
    const condition = compareCas === undefined ? ({ mode: 'add' } as const) : { compareCas }
    const options = { ttl: TOMBSTONE_SECONDS, groupKey, ...condition }
    const { status } = await this.#opened.client.meta.set(key, tombstone, options)
    return status === 'stored'
  }

  /** Sets the lifetime of a session that was read; returns whether it is still there. A tombstone keeps its own. */
  async touch(place: SessionSnapshot, ttl: Ttl): Promise<boolean> {
    const found = foundIn(await withoutKey(this.#find(place, ttl)))
    if (found === undefined) return false
    const { key, groupKey } = place
    return found.touched || withoutKey(this.#opened.client.touch(key, ttl, { groupKey }))
  }

  /**
   * All sessions, by their ids; an id that memcached could not hold comes as its hash. What begins or ends meanwhile
   * may be missed.
   *
   * @throws MemcacheError where a server does not tell what it holds.
   */
  async *entries(): AsyncGenerator<[id: string, data: SessionData]> {
    for await (const { id, key, value } of this.#directory.items()) {
      const data = isTombstone(value) ? undefined : this.#codec.decode(key, value)
      if (data !== undefined) yield [id, data]
    }
  }

  /** Removes all sessions and nothing else, those that a request still holds included. */
  async clear(): Promise<void> {
    await this.#directory.clear()
  }

  // oxlint-disable-next-line max-params -- a session, as data and as text
  async #create(
    id: string,
    data: SessionData,
    text: string,
    lifetime: Ttl | LifetimeOf,
  ): Promise<SessionSnapshot | undefined> {
    const ttl = lifetimeOf(lifetime, data)
    if (ttl === undefined) {
      await this.destroy(id)
      return undefined
    }
    return this.#inCurrentPlace(id, async (place) => {
      const { casUnique } = await this.#store(place, text, { ttl })
      return this.#snapshot(place, text, text, casUnique)
    })
  }

  /**
   * Runs a task in the place of a session, and checks at the same time that the place is current. If it is not, runs
   * the task again in the current place: a write under an old generation would be lost.
   */
  async #inCurrentPlace<Result>(id: string, task: (place: Place) => Promise<Result>): Promise<Result> {
    const key = this.#key([id])
    const known = this.#opened.generations.known(this.#opened.client.serverOf(key) ?? '')
    if (known === undefined) return task(await this.#currentPlace(id))
    const place = this.#place(known.generation, key, id)
    const [result, current] = await Promise.all([task(place), this.#currentPlace(id)])
    return current.key === place.key ? result : task(current)
  }

  /** The place of a session under the current generation. */
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

  // oxlint-disable-next-line max-params -- a place, and what is there now
  #snapshot({ key, groupKey }: Place, seen: string, stored: string, casUnique: bigint): SessionSnapshot {
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
   * The age of a base, at least: if the clock was set back it would look younger than the tombstone that it must not
   * outlive.
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

  /**
   * Undoes what reading has done to a tombstone: with the lifetime of a session it could end before the bases that it
   * has to outlive.
   */
  async #keepTombstone({ key, groupKey }: Place, touchTtl: Ttl | undefined): Promise<void> {
    if (typeof touchTtl !== 'number' || touchTtl >= TOMBSTONE_SECONDS) return
    await this.#opened.client.touch(key, TOMBSTONE_SECONDS, { groupKey })
  }

  /** A session with what others have written since it was read. */
  merged(base: SessionSnapshot, mine: object, now: SessionText): SessionData {
    return JSON.parse(this.#merge(base, toJson(mine), now.whole)) as SessionData
  }

  #merge(base: SessionSnapshot, mine: string, theirs: string): string {
    const [before, own, others] = [base.seen.whole, mine, theirs].map((text) => JSON.parse(text) as SessionData)
    return JSON.stringify(mergeSessions(before!, own!, others!, this.#hasChanged))
  }

  /**
   * An item that is no session is a miss, with one warning: an error would shut its owner out for as long as the cookie
   * lives.
   */
  #unreadable(): typeof UNREADABLE {
    if (this.#hasWarned) return UNREADABLE
    this.#hasWarned = true
    engineOf(this.#opened.cache).host.log.warn(
      'memcache-ts: a stored session cannot be opened, so its owner is a stranger: it was changed, or written with other encryptionKeys',
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

/** The result of a write if another request was faster. */
const CONFLICT = 'conflict'

function tooManyWriters(): MemcacheServerError {
  return new MemcacheServerError('a session is written by too many requests at once', { retryable: true })
}
