import type { MemcachedClient } from 'memcache-ts-client'
import type { DumpedKey, Statistics, WatchedServer, WatchedServers } from 'memcache-ts-server/dashboard'

/**
 * The timeout of a dashboard's requests, in place of the client's own timeout: the dashboard has more time than an
 * application's request.
 */
const TIMEOUT_MS = 2000

/** One server of a client, with the client's credentials and TLS. */
class ClientServer implements WatchedServer {
  readonly name: string
  readonly prefix: string
  readonly #client: MemcachedClient
  readonly #options: { readonly server: string; readonly timeoutMs: number }
  #isConnected = false

  constructor(client: MemcachedClient, name: string) {
    this.name = name
    this.prefix = client.prefix
    this.#client = client
    this.#options = { server: name, timeoutMs: TIMEOUT_MS }
  }

  async statistics(form: string): Promise<Statistics> {
    const options = this.#options
    const all = await (form === '' ? this.#client.stats(undefined, options) : this.#client.stats(form, options))
    return all.get(this.name) ?? {}
  }

  async roundTrip(): Promise<number | undefined> {
    const start = performance.now()
    try {
      await this.#client.version(this.#options)
    } catch (error) {
      this.#isConnected = false
      throw error
    }
    const wasConnected = this.#isConnected
    this.#isConnected = true
    return wasConnected ? performance.now() - start : undefined
  }

  async dump(visit: (item: DumpedKey) => boolean): Promise<void> {
    const enough = new AbortController()
    try {
      await this.#client.metadump(
        ({ key, expiresAt, size }) => {
          if (enough.signal.aborted) return
          const wanted = visit({ key, bytes: size, expiresAt: expiresAt === Infinity ? undefined : expiresAt })
          if (!wanted) enough.abort()
        },
        { server: this.name, signal: enough.signal },
      )
    } catch (error) {
      if (!enough.signal.aborted) throw error
    }
  }

  delete(key: string): Promise<boolean> {
    // Dumps list keys with their prefix; the client adds the prefix itself.
    const { prefix } = this
    if (!key.startsWith(prefix)) {
      return Promise.reject(
        new Error(`the key does not begin with '${prefix}': it does not belong to this application`),
      )
    }
    return this.#client.delete(key.slice(prefix.length), this.#options)
  }

  flush(): Promise<void> {
    return this.#client.flushAll(0, this.#options)
  }

  /** Does nothing: the client's connections stay open, idle, until the dashboard is closed. */
  rest(): void {
    this.#isConnected = false
  }
}

/** Returns the current servers of clients. A server that several clients share is watched once. */
export function serversOf(clients: readonly MemcachedClient[]): WatchedServers {
  const known = new Map<string, ClientServer>()
  return () => {
    const names = new Map(
      clients.flatMap((client) => client.servers.map((name) => [name, client] as const)).toReversed(),
    )
    for (const name of known.keys()) if (!names.has(name)) known.delete(name)
    for (const [name, client] of names) if (!known.has(name)) known.set(name, new ClientServer(client, name))
    return [...known.values()].sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  }
}
