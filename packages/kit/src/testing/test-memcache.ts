import { booleanOption, FakeClock, MemcacheOptionError } from 'memcache-ts-protocol'
import { replaceDefaultMemcache } from '../default-memcache.ts'
import { memcache } from '../memcache.ts'
import type { Memcache } from '../memcache.ts'
import type { MemcacheOptions } from '../memcache-options.ts'
import { requireOptions } from '../option-types.ts'
import { TestServer } from './test-server.ts'

/** Options of `testMemcache`: those of `memcache`, except the servers and the clock. */
export interface TestMemcacheOptions extends Omit<MemcacheOptions, 'servers' | 'clock'> {
  /**
   * Whether to use it as the cache of this process until it is closed: for `@Cached`, `defineCache` and the adapters.
   * Default false.
   */
  asDefault?: boolean | undefined
}

/** The cache of one test. */
export interface TestMemcache extends AsyncDisposable {
  readonly cache: Memcache
  /** The clock of the cache and its server; it stands still until it is advanced. */
  readonly clock: FakeClock
  /** The server; its methods simulate faults. */
  readonly server: TestServer
  /** Closes the cache and the server; `await using` calls it. */
  close(): Promise<void>
}

/** Returns the loading options without jitter by default; invalid ones are left as they are, for `memcache` to refuse. */
function withoutJitter(loading: MemcacheOptions['loading'] = {}): MemcacheOptions['loading'] {
  return Object.prototype.toString.call(loading) === '[object Object]' ? { jitter: 0, ...loading } : loading
}

/** Long, since the server is in this process: only a paused server does not respond in time, even on a busy machine. */
const TIMEOUT_MS = 1000

/**
 * Opens a cache for a test, with its own memcached in this process, no port, a clock that stands still, no jitter, and
 * a silent logger.
 *
 * @example
 *   await using test = await testMemcache({ asDefault: true })
 *   test.clock.advanceSeconds(61)
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export async function testMemcache(options: TestMemcacheOptions = {}): Promise<TestMemcache> {
  requireOptions('testMemcache', options)
  for (const name of ['servers', 'clock'] as const) {
    if (name in options) throw new MemcacheOptionError(`testMemcache sets ${name} itself: leave the option out`)
  }
  const { asDefault = false, loading, ...own } = options
  booleanOption('asDefault', asDefault)
  const clock = new FakeClock()
  const server = new TestServer(clock)
  const cache = memcache({
    timeoutMs: TIMEOUT_MS,
    logger: false,
    ...own,
    loading: withoutJitter(loading),
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
