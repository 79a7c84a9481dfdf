import { CacheEvict, Cached, memcache, MemcacheError, setDefaultMemcache } from 'memcache-ts'
import { testMemcache } from 'memcache-ts/testing'
import { MemcachedClient } from 'memcache-ts-client'

let loads = 0

class Cities {
  @Cached(60) async find(id: number): Promise<string> {
    return `city ${id}, load ${++loads}`
  }
  @CacheEvict({ key: (id: number) => ['find', id] }) async change(_id: number): Promise<void> {}
}

describe('memcache-ts', () => {
  const cache = memcache({ servers: 'embedded', logger: false })
  beforeAll(() => setDefaultMemcache(cache))
  afterAll(() => cache.close())

  it('caches what decorated methods return', async () => {
    const cities = new Cities()
    expect(await cities.find(1)).toBe('city 1, load 1')
    expect(await cities.find(1)).toBe('city 1, load 1')
    await cities.change(1)
    expect(await cities.find(1)).toBe('city 1, load 2')
  })

  it('has errors of one class in all packages', async () => {
    const client = new MemcachedClient('127.0.0.1:1', { timeoutMs: 100 })
    await expect(client.get('k')).rejects.toBeInstanceOf(MemcacheError)
    await client.close()
  })

  it('has a cache for tests', async () => {
    const { cache: own, close } = await testMemcache()
    expect(await own.getOrSet('k', () => 'v', 60)).toBe('v')
    await close()
  })
})
