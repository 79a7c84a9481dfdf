// A CommonJS project: require and import give one copy, and it works.
const assert = require('node:assert/strict')
const kit = require('memcache-ts')
const { MemcacheStore } = require('memcache-ts/session')
const { rateLimit } = require('memcache-ts-express')

async function main() {
  const imported = await import('memcache-ts')
  assert.equal(imported.Memcache, kit.Memcache)
  assert.equal(imported.getDefaultMemcache, kit.getDefaultMemcache)
  assert.equal(typeof MemcacheStore, 'function')
  assert.equal(typeof rateLimit({ perMinute: 1 }), 'function')
  const cache = kit.memcache({ servers: 'embedded', logger: false })
  assert.equal(await cache.getOrSet('k', async () => 'loaded', 60), 'loaded')
  assert.equal(await cache.get('k'), 'loaded')
  await cache.close()
  console.log('ok')
}

main()
