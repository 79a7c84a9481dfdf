import { booleanOption, FakeClock, MemcacheOptionError } from 'memcache-ts-protocol'
import { replaceDefaultMemcache } from '../default-memcache.ts'
import { memcache } from '../memcache.ts'
import type { Memcache } from '../memcache.ts'
import type { MemcacheOptions } from '../memcache-options.ts'
import { requireOptions } from '../option-types.ts'
import { TestServer } from './test-server.ts'

/** Options of `testMemcache`: those of `memcache`, but for the server and the clock. */
export interface TestMemcacheOptions extends Omit<MemcacheOptions, 'servers' | 'clock'> {
  /** Make it the cache of this process, until it is closed: that of `@Cached`, `defineCache` and the adapters. Default false. */
  asDefault?: boolean | undefined
}

/** A cache of a test's own. */
export interface TestMemcache extends AsyncDisposable {
  readonly cache: Memcache
  /** The time of the cache and its server, which stands still until it is told to go on. */
  readonly clock: FakeClock
  /** The server, with faults to order. */
  readonly server: TestServer
  /** Closes the cache and the server; `await using` does it by itself. */
  close(): Promise<void>
}

const TIMEOUT_MS = 250

/**
 * Opens a cache for a test: a memcached of its own in this process, no port, a clock that stands still, no jitter, and a silent logger.
 * @throws MemcacheOptionError for options that cannot be.
 * @example
 * await using test = await testMemcache({ asDefault: true })
 * test.clock.advanceSeconds(61)
 */
export async function testMemcache(options: TestMemcacheOptions = {}): Promise<TestMemcache> {
  requireOptions('testMemcache', options)
  for (const name of ['servers', 'clock'] as const) {
    if (name in options) throw new MemcacheOptionError(`testMemcache has ${name} of its own: use what it returns`)
  }
  const { asDefault = false, loading, ...own } = options
  booleanOption('asDefault', asDefault)
  const clock = new FakeClock()
  const server = new TestServer(clock)
  const cache = memcache({
    timeoutMs: TIMEOUT_MS,
    logger: false,
    ...own,
    loading: { jitter: 0, ...loading },
    servers: server.servers,
    clock,
  })
  const putBack = asDefault ? replaceDefaultMemcache(cache) : undefined
  const close = async (): Promise<void> => {
    putBack?.()
    await cache.close()
    await server.stop()
  }
  return { cache, clock, server, close, [Symbol.asyncDispose]: close }
}
