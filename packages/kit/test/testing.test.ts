import { until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { Cached, getDefaultMemcache, memcache } from '../src/index.ts'
import { testMemcache } from '../src/testing/index.ts'

class Weather {
  runs = 0
  @Cached({ ttlSeconds: 60, jitter: 0 })
  async in(city: string): Promise<string> {
    return `rain in ${city}, ${++this.runs}`
  }
}

describe('testMemcache', () => {
  it('is a separate cache with a fake clock', async () => {
    await using test = await testMemcache({ asDefault: true })
    expect(getDefaultMemcache()).toBe(test.cache)
    const weather = new Weather()
    expect(await weather.in('Bergen')).toBe('rain in Bergen, 1')
    test.clock.advanceSeconds(59)
    expect(await weather.in('Bergen')).toBe('rain in Bergen, 1')
    test.clock.advanceSeconds(2)
    expect(await weather.in('Bergen')).toBe('rain in Bergen, 2')
  })

  it('puts the default back', async () => {
    const one = await testMemcache({ asDefault: true })
    const other = await testMemcache({ asDefault: true })
    expect(getDefaultMemcache()).toBe(other.cache)
    await other.close()
    expect(getDefaultMemcache()).toBe(one.cache)
    await one.close()
    expect(getDefaultMemcache()).not.toBe(one.cache)
    await getDefaultMemcache().close()
  })

  it('can simulate faults', async () => {
    await using test = await testMemcache()
    await test.cache.set('k', 'v')
    await test.server.pause()
    expect(await test.cache.getOrSet('k', () => 'loaded')).toBe('loaded')
    await test.server.resume()
    await until(async () => (await test.cache.get('k')) === 'v')
    test.server.disconnect()
    await until(async () => (await test.cache.get('k')) === 'v')
    await test.server.stop()
    expect(await test.cache.get('k')).toBeUndefined()
    await test.server.start()
    await until(() => test.cache.health === 'up')
    expect(await test.cache.get('k')).toBeUndefined()
    expect(test.server.memcached.stats()['curr_items']).toBe(0)
  })

  it.each(['end', 'destroy'] as const)('continues after any behaviour of its clients: %s', async (leave) => {
    await using test = await testMemcache()
    await test.server.pause()
    const connection = test.server.servers[0]!.connect()
    connection.resume()
    connection.write('set asked 0 0 4\r\n1234\r\nget asked\r\n')
    await until(() => connection.writableLength === 0)
    connection[leave]()
    await test.server.resume()
    await test.cache.set('k', 'v')
    expect(await test.cache.get('k')).toBe('v')
  })

  it('lets another cache use the same server, as another process would', async () => {
    await using test = await testMemcache()
    await using other = memcache({ servers: test.server.servers, clock: test.clock, logger: false })
    await test.cache.set('k', 'v')
    expect(await other.get('k')).toBe('v')
  })
})
