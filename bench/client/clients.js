/**
 * The clients that are measured, each with its public defaults, and what a user of it writes to have a text stored and
 * read back as a text. Each is opened with a server's address and gives `get`, `set`, `getMulti` (how many were found)
 * and `close`.
 */
export const clients = {
  'memcache-ts-client': async (address) => {
    const { MemcachedClient } = await import('memcache-ts-client')
    const client = new MemcachedClient(address)
    return {
      get: (key) => client.get(key),
      set: (key, value) => client.set(key, value, 600),
      getMulti: async (keys) => (await client.getMulti(keys)).size,
      close: () => client.close(),
    }
  },

  memjs: async (address) => {
    const { default: memjs } = await import('memjs')
    const client = memjs.Client.create(address)
    return {
      get: async (key) => (await client.get(key)).value.toString(),
      set: (key, value) => client.set(key, value, { expires: 600 }),
      // memjs has no multi-get: this is what its users write.
      getMulti: async (keys) => {
        const answers = await Promise.all(keys.map((key) => client.get(key)))
        return answers.filter((answer) => answer.value.toString() !== '').length
      },
      close: () => client.close(),
    }
  },

  memcached: async (address) => {
    const { default: Memcached } = await import('memcached')
    const client = new Memcached(address)
    const call = (method, ...args) =>
      new Promise((resolve, reject) =>
        client[method](...args, (error, value) => (error ? reject(error) : resolve(value))),
      )
    return {
      get: (key) => call('get', key),
      set: (key, value) => call('set', key, value, 600),
      getMulti: async (keys) => Object.keys(await call('getMulti', keys)).length,
      close: () => client.end(),
    }
  },

  'memcache-client': async (address) => {
    const { default: imported } = await import('memcache-client')
    const MemcacheClient = imported.MemcacheClient ?? imported
    const client = new MemcacheClient({ server: address })
    return {
      get: async (key) => (await client.get(key)).value,
      set: (key, value) => client.set(key, value, { lifetime: 600 }),
      getMulti: async (keys) => Object.keys(await client.get(keys)).length,
      close: () => client.shutdown(),
    }
  },

  memcache: async (address) => {
    const { Memcache } = await import('memcache')
    const client = new Memcache({ nodes: [address] })
    return {
      get: (key) => client.get(key),
      set: (key, value) => client.set(key, value, 600),
      getMulti: async (keys) => [...(await client.gets(keys)).values()].filter((text) => text !== undefined).length,
      close: () => client.disconnect(),
    }
  },
}
