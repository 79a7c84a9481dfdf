import { duplexPair } from 'node:stream'
import type { MemcachedClientOptions } from 'memcache-ts-client'
import { MemcachedServer } from 'memcache-ts-server'
import { FakeClock } from 'memcache-ts-testing'
import { memcache } from '../src/index.ts'
import type { Memcache, MemcacheOptions } from '../src/index.ts'

/** A cache with a server of its own in this process, and a clock that both go by. */
export interface TestCache extends AsyncDisposable {
  readonly cache: Memcache
  readonly server: MemcachedServer
  readonly clock: FakeClock
  readonly servers: NonNullable<Exclude<MemcachedClientOptions['servers'], string>>
}

export function openCache(options: MemcacheOptions = {}): TestCache {
  const clock = new FakeClock()
  const server = new MemcachedServer({ clock })
  const connect = () => {
    const [ours, theirs] = duplexPair()
    server.handle(theirs)
    return ours
  }
  const servers = [{ name: 'test', connect }]
  const cache = memcache({ servers, logger: false, clock, timeoutMs: 5000, ...options })
  return {
    cache,
    server,
    clock,
    servers,
    async [Symbol.asyncDispose]() {
      await cache.close()
      await server.close()
    },
  }
}
