import { memcache } from '../src/index.ts'
import type { Memcache } from '../src/index.ts'
import type { TestMemcache } from '../src/testing/index.ts'

/**
 * A cache on a test's server whose writes are gathered: as many as there were round trips, where one call waits for the
 * other.
 */
export interface CountedCache extends AsyncDisposable {
  readonly cache: Memcache
  readonly writes: string[]
}

/** Opens one, with its handshake done, so that only the writes of requests are counted. */
export async function countWrites({ server, clock }: TestMemcache): Promise<CountedCache> {
  const writes: string[] = []
  const servers = server.servers.map(({ name, connect }) => ({
    name,
    connect: () => {
      const stream = connect()
      const write = stream.write.bind(stream) as (chunk: Buffer) => boolean
      stream.write = (chunk: Buffer) => {
        writes.push(chunk.toString())
        return write(chunk)
      }
      return stream
    },
  }))
  const cache = memcache({ servers, clock, timeoutMs: 5000, logger: false })
  // Keys of different lengths: all connections of the pool are open then.
  for (const key of ['k', 'kk', 'kkk', 'kkkk']) await cache.client.get(key)
  writes.length = 0
  return { cache, writes, [Symbol.asyncDispose]: () => cache.close() }
}
