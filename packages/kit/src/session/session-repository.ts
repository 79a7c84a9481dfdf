import { setTimeout as delay } from 'node:timers/promises'
import { MemcacheServerError, MemcacheUnsupportedError } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { KeyPrefix } from '../cache-key.ts'
import { getDefaultMemcache } from '../default-memcache.ts'
import type { Memcache } from '../memcache.ts'
import { mergeSessions } from './session-merge.ts'
import type { SessionData } from './session-merge.ts'

/** What is left of a destroyed session, so that a slow request cannot bring it back; a session is an object. */
const TOMBSTONE = 'destroyed'
const TOMBSTONE_SECONDS = 60
/** Parallel writers of one session that are merged before a write gives up. */
const MOST_ATTEMPTS = 64
const LONGEST_PAUSE_MS = 5

/** A session as it was read or written: what a later write is merged against. */
export interface SessionSnapshot {
  /** The session as its request sees it. */
  readonly data: SessionData
  /** The session as it is stored: with what other requests wrote that this one has not seen. */
  readonly stored: SessionData
  readonly casUnique: bigint
}

/** A session that was found, with the seconds that it still lives; `Infinity` where the server does not tell. */
export interface FoundSession extends SessionSnapshot {
  readonly ttlSeconds: number
}

/**
 * Sessions in memcached. A write is a compare-and-swap against what its request had read: when another request was
 * faster, the two are merged and tried again. Faults of the cache reject: a login is not dropped in silence.
 */
export class SessionRepository {
  readonly #cache: Memcache | undefined

  /** @param cache default: this process's, found at the first use. */
  constructor(cache: Memcache | undefined) {
    this.#cache = cache
  }

  /** The session with this id; `undefined` when there is none, or it was destroyed. */
  async read(id: string): Promise<FoundSession | undefined> {
    const found = await this.#find(this.#key(id))
    if (found === undefined || isTombstone(found.value)) return undefined
    const data = found.value as SessionData
    return { data, stored: data, casUnique: found.casUnique, ttlSeconds: found.ttlSeconds }
  }

  /**
   * Writes a session, merged with what others wrote meanwhile; returns it as a base for the next write, or `undefined` when it was
   * destroyed meanwhile and stays so.
   * @param base what this request had read; without it the write is unconditional.
   */
  async write(
    id: string,
    data: SessionData,
    base: SessionSnapshot | undefined,
    ttl: Ttl,
  ): Promise<SessionSnapshot | undefined> {
    if (base === undefined) {
      const { casUnique } = await this.#client.meta.set(this.#key(id), data, { ttl })
      return { data, stored: data, casUnique }
    }
    let wanted = mergeSessions(base.data, data, base.stored)
    let compareCas: bigint | undefined = base.casUnique
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const { status, casUnique } = await this.#client.meta.set(
        this.#key(id),
        wanted,
        compareCas === undefined ? { ttl, mode: 'add' } : { ttl, compareCas },
      )
      if (status === 'stored') return { data, stored: wanted, casUnique }
      const found = await this.#client.gets(this.#key(id))
      if (found === undefined) {
        // Evicted, not destroyed, which would have left its mark: it is made again.
        compareCas = undefined
        continue
      }
      if (isTombstone(found.value)) return undefined
      wanted = mergeSessions(base.data, data, found.value as SessionData)
      compareCas = found.casUnique
      if (attempt > 0) await delay(Math.random() * Math.min(attempt, LONGEST_PAUSE_MS))
    }
    throw new MemcacheServerError(`session ${id} is written by too many requests at once`, { retryable: true })
  }

  /** Removes a session for good: a request that still writes it finds its mark. */
  async destroy(id: string): Promise<void> {
    await this.#client.meta.set(this.#key(id), TOMBSTONE, { ttl: TOMBSTONE_SECONDS })
  }

  /** Sets a session's lifetime anew; returns whether there was one. */
  async touch(id: string, ttl: Ttl): Promise<boolean> {
    return this.#client.touch(this.#key(id), ttl)
  }

  /** Without meta commands the lifetime is not told. */
  async #find(key: string): Promise<{ value: unknown; casUnique: bigint; ttlSeconds: number } | undefined> {
    try {
      return await this.#client.meta.get(key)
    } catch (error) {
      if (!(error instanceof MemcacheUnsupportedError)) throw error
      const found = await this.#client.gets(key)
      return found && { ...found, ttlSeconds: Infinity }
    }
  }

  get #client() {
    return this.#opened.client
  }

  get #opened(): Memcache {
    return this.#cache ?? getDefaultMemcache()
  }

  #key(id: string): string {
    return this.#opened.key([KeyPrefix.session, id])
  }
}

function isTombstone(value: unknown): boolean {
  return typeof value !== 'object' || value === null
}
