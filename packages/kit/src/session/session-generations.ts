import { randomBytes } from 'node:crypto'
import { MemcacheDecodeError } from 'memcache-ts-protocol'
import type { Clock } from 'memcache-ts-protocol'
import type { MemcachedClient } from 'memcache-ts-client'
import { ownKeyText } from '../engine/engine.ts'

/** Under this key each server has the generation of its sessions; no session has it, since their ids are escaped. */
export const GENERATION_KEY = ownKeyText('session', ['', 'generation'])
/** How long a server need not be asked again for a session that is found. */
const FRESH_MS = 1000
const GENERATION_BYTES = 9

/** The generation of a server as this process last read it. */
export interface KnownGeneration {
  readonly generation: string
  /** When it was asked. */
  readonly at: number
}

/**
 * The generation of the sessions on each server: a part of their keys, so that with a new one all are gone at once. It
 * is stored on the server of its sessions, so that they are lost together. `''` is the generation of sessions that were
 * never cleared. If a server has lost its generation, a process that still knows it stores it again.
 */
export class SessionGenerations {
  readonly #client: MemcachedClient
  readonly #clock: Clock
  readonly #known = new Map<string, KnownGeneration>()

  constructor(client: MemcachedClient, clock: Clock) {
    this.#client = client
    this.#clock = clock
  }

  /** `undefined` for a server that was not asked yet. */
  known(server: string): KnownGeneration | undefined {
    return this.#known.get(server)
  }

  /** Whether it was heard within the last second. */
  isFresh({ at }: KnownGeneration): boolean {
    return Math.abs(this.#clock.nowMs() - at) < FRESH_MS
  }

  /** The generation on a server now. */
  async ask(server: string): Promise<string> {
    const at = this.#clock.nowMs()
    const options = server === '' ? undefined : { server }
    let generation = await this.#stored(options)
    if (typeof generation !== 'string') {
      const known = this.known(server)?.generation ?? ''
      // A value that is no text is another program's: the known generation is stored again, as if it had been lost.
      if (generation !== undefined) await this.#client.set(GENERATION_KEY, known, undefined, options)
      else if (known !== '' && !(await this.#client.add(GENERATION_KEY, known, undefined, options)))
        return this.ask(server)
      generation = known
    }
    this.#known.set(server, { generation: generation as string, at })
    return generation as string
  }

  /** The stored generation; null if it cannot be read. */
  async #stored(options: { server: string } | undefined): Promise<unknown> {
    try {
      return await this.#client.get(GENERATION_KEY, options)
    } catch (error) {
      if (error instanceof MemcacheDecodeError) return null
      throw error
    }
  }

  /** Gives the sessions of a server a new generation: those that were there are gone. */
  async renew(server: string): Promise<string> {
    const generation = randomBytes(GENERATION_BYTES).toString('base64url')
    await this.#client.set(GENERATION_KEY, generation, undefined, { server })
    this.#known.set(server, { generation, at: this.#clock.nowMs() })
    return generation
  }
}
