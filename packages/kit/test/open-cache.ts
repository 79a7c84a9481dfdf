import { memcache } from '../src/index.ts'
import type { Memcache, MemcacheOptions } from '../src/index.ts'
import { testMemcache } from '../src/testing/index.ts'
import type { TestMemcache, TestMemcacheOptions } from '../src/testing/index.ts'

/** A test's cache, and others on the same server, as other processes would have them. */
export interface TestCaches extends TestMemcache {
  another(options?: MemcacheOptions): Memcache
}

/** Caches that a test opens one by one, and closes together. */
export class OpenedCaches {
  readonly #caches: Memcache[] = []

  open(options: MemcacheOptions): Memcache {
    const cache = memcache({ logger: false, timeoutMs: 5000, ...options })
    this.#caches.push(cache)
    return cache
  }

  async close(): Promise<void> {
    await Promise.all(this.#caches.map((cache) => cache.close()))
  }
}

/** A server for the caches of several processes. */
export interface SharedServer extends AsyncDisposable {
  open(options?: MemcacheOptions): Memcache
}

/** Returns a server that closes its caches before it ends. */
export function sharedServer(servers: string, end: () => Promise<unknown>): SharedServer {
  const caches = new OpenedCaches()
  return {
    open(options = {}) {
      return caches.open({ servers, ...options })
    },
    async [Symbol.asyncDispose]() {
      await caches.close()
      await end()
    },
  }
}

/** A cache whose server is never too slow for it, however busy the machine. */
export async function openCache(options: TestMemcacheOptions = {}): Promise<TestCaches> {
  const test = await testMemcache({ timeoutMs: 5000, ...options })
  const others = new OpenedCaches()
  const close = async (): Promise<void> => {
    await others.close()
    await test.close()
  }
  return {
    ...test,
    close,
    another(own = {}) {
      const { servers } = test.server
      const { asDefault: _, ...given } = options
      return others.open({ clock: test.clock, ...given, ...own, servers })
    },
    [Symbol.asyncDispose]: close,
  }
}
