/** Objects kept in memory at most, where a cache has a bound. */
const MEMORY_ITEMS = 100_000
const TTL_SECONDS = 600

/**
 * The caches that are compared, each as its documentation sets it up over memcached, with its defaults otherwise: with
 * memory in front (`memory`), or on memcached alone. Each is opened with a server's address and gives `getOrSet` and
 * `close`.
 */
export const caches = {
  'memcache-ts': async (address, memory) => {
    const { memcache } = await import('memcache-ts')
    // Thousands of calls in one tick keep this machine busy for longer than a request may wait in an application.
    const options = { servers: address, logger: false, timeoutMs: 5000 }
    const cache = memcache({ ...options, l1: memory && { maxItems: MEMORY_ITEMS, ttlSeconds: TTL_SECONDS } })
    return {
      getOrSet: (key, load) => cache.getOrSet(key, load, TTL_SECONDS),
      close: () => cache.close(),
    }
  },

  bentocache: async (address, memory) => {
    const { BentoCache, bentostore } = await import('bentocache')
    const { memoryDriver } = await import('bentocache/drivers/memory')
    const { memjsDriver } = await import('./bentocache-memjs-driver.js')
    const store = bentostore()
    if (memory) store.useL1Layer(memoryDriver({ maxItems: MEMORY_ITEMS }))
    store.useL2Layer(memjsDriver(address))
    const cache = new BentoCache({ default: 'cache', stores: { cache: store } })
    return {
      getOrSet: (key, load) => cache.getOrSet({ key, factory: load, ttl: `${TTL_SECONDS}s` }),
      close: () => cache.disconnectAll(),
    }
  },

  cacheable: async (address, memory) => {
    const { Cacheable } = await import('cacheable')
    const { default: KeyvMemcache } = await import('@keyv/memcache')
    const { Keyv } = await import('keyv')
    const memcached = () => new Keyv({ store: new KeyvMemcache(address) })
    const cache = memory ? new Cacheable({ secondary: memcached() }) : new Cacheable({ primary: memcached() })
    return {
      getOrSet: (key, load) => cache.getOrSet(key, load, { ttl: TTL_SECONDS * 1000 }),
      close: () => cache.disconnect(),
    }
  },

  'cache-manager': async (address, memory) => {
    const { createCache } = await import('cache-manager')
    const { default: KeyvMemcache } = await import('@keyv/memcache')
    const { CacheableMemory, Keyv } = await import('cacheable')
    const memcached = new Keyv({ store: new KeyvMemcache(address) })
    const inMemory = memory ? [new Keyv({ store: new CacheableMemory({ lruSize: MEMORY_ITEMS }) })] : []
    const cache = createCache({ stores: [...inMemory, memcached] })
    return {
      getOrSet: (key, load) => cache.wrap(key, load, TTL_SECONDS * 1000),
      close: () => cache.disconnect(),
    }
  },
}
