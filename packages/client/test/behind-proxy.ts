import { MemcachedServer } from 'memcache-ts-server'
import { FaultProxy } from 'memcache-ts-testing'
import { MemcachedClient } from '../src/index.ts'
import type { MemcachedClientOptions } from '../src/index.ts'

/** Long enough not to pass by itself on a busy machine, short enough to wait for. */
export const TIMEOUT_MS = 1000

/** A client, a proxy whose connections have the chosen fault, and our server behind it. */
export async function behindProxy(options: MemcachedClientOptions = {}) {
  const server = new MemcachedServer({ port: 0 })
  const proxy = await FaultProxy.start(await server.listen())
  const client = new MemcachedClient({ servers: proxy.address, timeoutMs: TIMEOUT_MS, ...options })
  const events: string[] = []
  for (const event of ['connect', 'disconnect', 'eject', 'rejoin'] as const) client.on(event, () => events.push(event))
  return {
    server,
    proxy,
    client,
    /** The events that the client has reported, in order. */
    events,
    async [Symbol.asyncDispose]() {
      await client.close()
      await proxy[Symbol.asyncDispose]()
      await server.close()
    },
  }
}
