import { randomBytes } from 'node:crypto'
import { MemcacheDecodeError } from 'memcache-ts-protocol'
import type { Clock } from 'memcache-ts-protocol'
import type { MemcachedClient } from 'memcache-ts-client'
import { ownKeyText } from '../engine/engine.ts'

/** The key of the generation on each server. No session has this key, since session ids are escaped. */
export const GENERATION_KEY = ownKeyText('session', ['', 'generation'])
/** How long a generation that was read is used for sessions that are found, before it is read again. */
const FRESH_MS = 1000
const GENERATION_BYTES = 9

/** The generation of a server, as this process last read it. */
export interface KnownGeneration {
  readonly generation: string
  /** The time of the request, in milliseconds. */
  readonly at: number
}

/**
 * Keeps the generation of the sessions on each server. The generation is a part of their keys, so a new one makes all
 * sessions disappear at once. It is stored on the same server as the sessions, so that they are lost together. `''` is
 * the generation of sessions that were never cleared. If a server has lost its generation, a process that still knows
 * it stores it again.
 */
export class SessionGenerations {
  readonly #client: MemcachedClient
  readonly #clock: Clock
  readonly #known = new Map<string, KnownGeneration>()

  constructor(client: MemcachedClient, clock: Clock) {
    this.#client = client
    this.#clock = clock
  }

  /** Returns the last generation that was read from a server; `undefined` before the first read. */
  known(server: string): KnownGeneration | undefined {
    return this.#known.get(server)
  }

  /** Returns whether a generation was read within the last second. */
  isFresh({ at }: KnownGeneration): boolean {
    return Math.abs(this.#clock.nowMs() - at) < FRESH_MS
  }

  /** Reads the current generation from a server. */
  async read(server: string): Promise<string> {
    const at = this.#clock.nowMs()
    const options = server === '' ? undefined : { server }
    let generation = await this.#stored(options)
    if (typeof generation !== 'string') {
      const known = this.known(server)?.generation ?? ''
      // A value that is not text was stored by another program: replace it by the known generation, as if that had been
      // lost.
      if (generation !== undefined) await this.#client.set(GENERATION_KEY, known, undefined, options)
      else if (known !== '' && !(await this.#client.add(GENERATION_KEY, known, undefined, options)))
        return this.read(server)
      generation = known
    }
    this.#known.set(server, { generation: generation as string, at })
    return generation as string
  }

  /** Returns the stored generation; `undefined` if there is none, null if it cannot be decoded. */
  async #stored(options: { server: string } | undefined): Promise<unknown> {
    try {
      return await this.#client.get(GENERATION_KEY, options)
    } catch (error) {
      if (error instanceof MemcacheDecodeError) return null
      throw error
    }
  }

  /** Starts a new generation on a server, which makes all its sessions disappear; returns it. */
  async renew(server: string): Promise<string> {
    const generation = randomBytes(GENERATION_BYTES).toString('base64url')
    await this.#client.set(GENERATION_KEY, generation, undefined, { server })
    this.#known.set(server, { generation, at: this.#clock.nowMs() })
    return generation
  }
}
