import type { MemcachedClient } from 'memcache-ts-client'
import { MemcacheServerError, MemcacheUnsupportedError } from 'memcache-ts-protocol'
import { KeyPrefix } from '../engine/engine.ts'
import { GENERATION_KEY } from './session-generations.ts'
import type { SessionGenerations } from './session-generations.ts'

const BATCH = 100
const LOOKS = 2
const PREFIX = `${KeyPrefix.session}:`

/** An item that is a session, or the tombstone of a session. */
export interface SessionItem {
  readonly id: string
  readonly key: string
  readonly value: unknown
}

/** Lists sessions from the key dumps of the servers, since memcached has no other way to list keys. */
export class SessionDirectory {
  readonly #client: MemcachedClient
  readonly #generations: SessionGenerations

  constructor(client: MemcachedClient, generations: SessionGenerations) {
    this.#client = client
    this.#generations = generations
  }

  /**
   * Yields the items of the current generation.
   *
   * @throws MemcacheError if a server does not support dumps, or does not respond.
   */
  async *items(): AsyncGenerator<SessionItem> {
    const keysByServer = await this.#dump()
    for (const [server, dumped] of keysByServer) {
      const generation = await this.#generations.read(server)
      const keys = [...dumped].filter((key) => idOf(key, generation) !== undefined)
      for (let start = 0; start < keys.length; start += BATCH) {
        for (const [key, value] of await this.#values(server, keys.slice(start, start + BATCH))) {
          yield { id: idOf(key, generation)!, key, value }
        }
      }
    }
  }

  /** Returns the values of those keys that still exist. With meta commands, reading them does not bump them in the LRU. */
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
   * Starts a new, empty generation of sessions on all servers, and deletes the items of the old one as far as a server
   * lists them, so that processes that do not know the new generation yet find no session either.
   */
  async clear(): Promise<void> {
    // If servers are discovered, the client knows them after its first request.
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
   * Returns the keys of the sessions of all generations, without the client's prefix. A dump of memcached skips an item
   * that is in use: while the item is read, and until the LRU thread has moved it afterwards, which may take a second.
   * Therefore each server is dumped twice, and the values are read without a bump.
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

/** Returns the id in a key; `undefined` if the key belongs to another generation. */
function idOf(key: string, generation: string): string | undefined {
  const rest = key.slice(PREFIX.length)
  const separator = rest.indexOf(':')
  if (generation === '' ? separator !== -1 : rest.slice(0, separator) !== generation) return undefined
  const escaped = rest.slice(separator + 1)
  try {
    return decodeURIComponent(escaped)
  } catch {
    // A key with a hash begins with a part of the id, which may be cut within an escape sequence.
    return escaped
  }
}
