import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { collectMemcache } from '../../src/prometheus/index.ts'
import { KIT_METRICS } from '../../src/telemetry/kit-metrics.ts'
import { openCache } from '../open-cache.ts'

describe('the collector for prom-client', () => {
  it('exports the counters of a cache at the time of each scrape', async () => {
    await using test = await openCache()
    const register = new Registry()
    collectMemcache({ main: test.cache }, { register })
    await test.cache.getOrSet('k', () => 1, 60)
    await test.cache.getOrSet('k', () => 1, 60)
    for (let scrape = 0; scrape < 2; scrape++) {
      const text = await register.metrics()
      expect(text).toContain('# TYPE memcache_ts_hits_total counter')
      expect(text).toContain('memcache_ts_hits_total{cache="main"} 1')
      expect(text).toContain('memcache_ts_misses_total{cache="main"} 1')
      expect(text).toContain('memcache_ts_loads_total{cache="main"} 1')
      expect(text).toContain('memcache_ts_up{cache="main"} 1')
    }
    await test.cache.getOrSet('k', () => 1, 60)
    expect(await register.metrics()).toContain('memcache_ts_hits_total{cache="main"} 2')
  })

  it('has a metric for each number of stats()', async () => {
    await using test = await openCache()
    const stats = test.cache.stats()
    const read = new Set<string>()
    const watched = new Proxy(stats, {
      get: (target, name, receiver) => (read.add(String(name)), Reflect.get(target, name, receiver) as unknown),
    })
    for (const metric of KIT_METRICS) metric.read(watched)
    expect([...read].toSorted()).toEqual(
      Object.keys(stats)
        // Deprecated: `health` says the same.
        .filter((name) => name !== 'breaker')
        .toSorted(),
    )
  })

  it("names its metrics by Prometheus's conventions", () => {
    for (const { name, type, help } of KIT_METRICS) {
      expect(name).toMatch(type === 'counter' ? /^[a-z_]+_total$/ : /^[a-z_]+(?<!_total)$/)
      expect(help).toMatch(/\.$/)
    }
  })

  it('labels several caches, and refuses to be added twice', async () => {
    await using test = await openCache()
    const register = new Registry()
    const other = test.another()
    const remove = collectMemcache({ a: test.cache, b: other }, { register })
    await other.get('x')
    const text = await register.metrics()
    expect(text).toContain('memcache_ts_misses_total{cache="a"} 0')
    expect(text).toContain('memcache_ts_misses_total{cache="b"} 1')
    expect(() => collectMemcache(other, { register })).toThrow(/collectMemcache once/)
    remove()
    expect(await register.metrics()).not.toContain('memcache_ts_')
    collectMemcache(other, { register })
    expect(await register.metrics()).toContain('cache="default"')
  })

  it('refuses values that are not a cache', () => {
    expect(() => collectMemcache({} as never)).toThrow(/needs a cache/)
    expect(() => collectMemcache({ a: {} } as never)).toThrow(/a is not a cache/)
    expect(() => collectMemcache({ a: {} } as never, { registry: 1 } as never)).toThrow(/registry/)
  })
})
