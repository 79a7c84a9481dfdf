import { memcache } from '../src/index.ts'
import type { Memcache, MemcacheOptions } from '../src/index.ts'
import { testMemcache } from '../src/testing/index.ts'
import type { TestMemcache, TestMemcacheOptions } from '../src/testing/index.ts'

/** A test's cache, and others on the same server, as other processes would have them. */
export interface TestCaches extends TestMemcache {
  another(options?: MemcacheOptions): Memcache
}

/** A cache whose server is never too slow for it, however busy the machine. */
export async function openCache(options: TestMemcacheOptions = {}): Promise<TestCaches> {
  const test = await testMemcache({ timeoutMs: 5000, ...options })
  const others: Memcache[] = []
  const close = async (): Promise<void> => {
    await Promise.all(others.map((cache) => cache.close()))
    await test.close()
  }
  return {
    ...test,
    close,
    another(own = {}) {
      const { servers } = test.server
      const { asDefault: _, ...given } = options
      const cache = memcache({ logger: false, timeoutMs: 5000, clock: test.clock, ...given, ...own, servers })
      others.push(cache)
      return cache
    },
    [Symbol.asyncDispose]: close,
  }
}
