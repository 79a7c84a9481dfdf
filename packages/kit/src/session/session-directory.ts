import type { MemcachedClient } from 'memcache-ts-client'
import { MemcacheServerError, MemcacheUnsupportedError } from 'memcache-ts-protocol'
import { KeyPrefix } from '../engine/engine.ts'
import { GENERATION_KEY } from './session-generations.ts'
import type { SessionGenerations } from './session-generations.ts'

const BATCH = 100
const LOOKS = 2
const PREFIX = `${KeyPrefix.session}:`

/** An item that is a session, or the mark of one. */
export interface SessionItem {
  readonly id: string
  readonly key: string
  readonly value: unknown
}

/** Which sessions there are, as the servers' dumps tell it: memcached keeps no list of its keys that could be asked for. */
export class SessionDirectory {
  readonly #client: MemcachedClient
  readonly #generations: SessionGenerations

  constructor(client: MemcachedClient, generations: SessionGenerations) {
    this.#client = client
    this.#generations = generations
  }

  /** The items of the sessions that count. @throws MemcacheError where a server does not dump, or does not answer. */
  async *items(): AsyncGenerator<SessionItem> {
    const keysByServer = await this.#dump()
    for (const [server, dumped] of keysByServer) {
      const generation = await this.#generations.ask(server)
      const keys = [...dumped].filter((key) => idOf(key, generation) !== undefined)
      for (let start = 0; start < keys.length; start += BATCH) {
        for (const [key, value] of await this.#values(server, keys.slice(start, start + BATCH))) {
          yield { id: idOf(key, generation)!, key, value }
        }
      }
    }
  }

  /** The values of those keys that are still there, read without making them look used. */
  async #values(server: string, keys: readonly string[]): Promise<Iterable<[key: string, value: unknown]>> {
    try {
      const items = await Promise.all(keys.map((key) => this.#client.meta.get(key, { noBump: true, server })))
      return items.flatMap((item, index): [string, unknown][] =>
        item === undefined ? [] : [[keys[index]!, item.value]],
      )
    } catch (error) {
      if (!(error instanceof MemcacheUnsupportedError)) throw error
      const found = await this.#client.getMulti(keys, { server })
      for (const failure of found.errors.values()) throw failure
      return found
    }
  }

  /**
   * Gives the sessions on all servers a new generation, under which there are none, and deletes what a server tells of
   * the old one, which then nobody can reach: processes that have not heard of the new one yet find nothing either.
   */
  async clear(): Promise<void> {
    // Where servers are discovered, they are known after this.
    await this.#client.get(GENERATION_KEY)
    const { servers } = this.#client
    const renewed = await Promise.allSettled(servers.map((server) => this.#generations.renew(server)))
    for (const outcome of renewed) if (outcome.status === 'rejected') throw outcome.reason
    const keysByServer = await this.#dump().catch((error: unknown) => {
      if (error instanceof MemcacheUnsupportedError || error instanceof MemcacheServerError) return new Map()
      throw error
    })
    for (const [server, keys] of keysByServer as Map<string, Set<string>>) await this.#deleteOld(server, keys)
  }

  async #deleteOld(server: string, keys: ReadonlySet<string>): Promise<void> {
    const generation = this.#generations.known(server)!.generation
    const old = [...keys].filter((key) => idOf(key, generation) === undefined)
    for (let start = 0; start < old.length; start += BATCH) {
      await Promise.all(old.slice(start, start + BATCH).map((key) => this.#client.delete(key, { server })))
    }
  }

  /**
   * The keys of sessions, of whichever generation, without the client's prefix. memcached passes over an item that it
   * holds for somebody: while it is being read, and, read again after a rest, until its LRU's thread has moved it,
   * which may take a second. So it is asked twice, and reading the list itself leaves items as they are.
   */
  async #dump(): Promise<Map<string, Set<string>>> {
    const { prefix, servers } = this.#client
    const keysByServer = new Map(servers.map((server): [string, Set<string>] => [server, new Set()]))
    for (let look = 0; look < LOOKS; look++) {
      await this.#client.metadump(({ server, key: wireKey }) => {
        if (!wireKey.startsWith(prefix + PREFIX)) return
        const key = wireKey.slice(prefix.length)
        if (key !== GENERATION_KEY) keysByServer.get(server)?.add(key)
      })
    }
    return keysByServer
  }
}

/** The id in a key of this generation; `undefined` in one of another. */
function idOf(key: string, generation: string): string | undefined {
  const rest = key.slice(PREFIX.length)
  const separator = rest.indexOf(':')
  if (generation === '' ? separator !== -1 : rest.slice(0, separator) !== generation) return undefined
  const escaped = rest.slice(separator + 1)
  try {
    return decodeURIComponent(escaped)
  } catch {
    // A hash is behind the beginning of the id, which may end within an escape.
    return escaped
  }
}
