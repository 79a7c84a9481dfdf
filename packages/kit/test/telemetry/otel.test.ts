import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { describe, expect, it } from 'vitest'
import { instrumentMemcache } from '../../src/otel/index.ts'
import { openCache } from '../open-cache.ts'

function providers() {
  const spans = new InMemorySpanExporter()
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 30 })
  return {
    options: {
      tracerProvider: new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }),
      meterProvider: new MeterProvider({ readers: [reader] }),
    },
    loads: () => spans.getFinishedSpans().filter(({ name }) => name === 'memcache load'),
    operations: () => spans.getFinishedSpans().filter(({ kind }) => kind === SpanKind.CLIENT),
    async metric(name: string) {
      exporter.reset()
      await reader.forceFlush()
      const found = exporter.getMetrics()[0]?.scopeMetrics.flatMap((scope) => scope.metrics)
      const metric = found?.find(({ descriptor }) => descriptor.name === name)
      return metric?.dataPoints.map(({ attributes, value }) => [attributes['memcache.cache.name'], value])
    },
  }
}

describe('the instrumentation for OpenTelemetry', () => {
  it('reports the figures of each cache, as they are at an export', async () => {
    await using test = await openCache()
    const other = test.another()
    const { options, metric } = providers()
    const end = instrumentMemcache({ main: test.cache, other }, options)
    await test.cache.getOrSet('k', () => 1, 60)
    await test.cache.getOrSet('k', () => 1, 60)
    expect(await metric('memcache.hits')).toEqual([
      ['main', 1],
      ['other', 0],
    ])
    expect(await metric('memcache.loads')).toEqual([
      ['main', 1],
      ['other', 0],
    ])
    expect(await metric('memcache.up')).toEqual([
      ['main', 1],
      ['other', 1],
    ])
    end()
    await test.cache.getOrSet('k', () => 1, 60)
    expect(await metric('memcache.hits')).not.toContainEqual(['main', 2])
  })

  it('makes a span of each run of a loader, with its time and without its key', async () => {
    await using test = await openCache()
    const { options, loads, operations } = providers()
    const end = instrumentMemcache(test.cache, options)
    await test.cache.getOrSet(['user', 'ann@example.org'], () => 1, 60)
    await test.cache.getOrSet(['user', 'ann@example.org'], () => 1, 60)
    await expect(test.cache.getOrSet('bad', () => Promise.reject(new Error('no rows')), 60)).rejects.toThrow('no rows')
    const [loaded, failed] = loads()
    expect(loads()).toHaveLength(2)
    expect(loaded!.attributes).toEqual({ 'memcache.cache.name': 'default' })
    expect(loaded!.status.code).toBe(SpanStatusCode.UNSET)
    expect(failed!.status).toEqual({ code: SpanStatusCode.ERROR, message: 'no rows' })
    expect(operations().length).toBeGreaterThan(0)
    expect(
      JSON.stringify([...loads(), ...operations()].map(({ name, attributes }) => [name, attributes])),
    ).not.toContain('ann')
    end()
    await test.cache.getOrSet('after', () => 1, 60)
    expect(loads()).toHaveLength(2)
  })

  it('tells keys if it is asked to, and nothing of other caches', async () => {
    await using test = await openCache()
    const other = test.another()
    const { options, loads } = providers()
    const end = instrumentMemcache({ main: test.cache }, { ...options, keys: true })
    await test.cache.getOrSet('k', () => 1, 60)
    await other.getOrSet('elsewhere', () => 1, 60)
    expect(loads().map(({ attributes }) => attributes['memcache.key'])).toEqual(['k'])
    end()
  })

  it('refuses values that are not a cache', () => {
    expect(() => instrumentMemcache({} as never)).toThrow(/needs a cache/)
    expect(() => instrumentMemcache({ a: {} } as never)).toThrow(/a is not a cache/)
    expect(() => instrumentMemcache({ a: {} } as never, { tracer: 1 } as never)).toThrow(/tracer/)
  })
})
