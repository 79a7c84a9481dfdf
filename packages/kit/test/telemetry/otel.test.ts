import { AsyncLocalStorage } from 'node:async_hooks'
import {
  context,
  INVALID_SPAN_CONTEXT,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
} from '@opentelemetry/api'
import type { Context, ContextManager } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { describe, expect, it } from 'vitest'
import { instrumentMemcache } from '../../src/otel/index.ts'
import { openCache } from '../open-cache.ts'

/** The context manager of an application's SDK: the active context follows asynchronous calls. */
class StorageContextManager implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>()

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT
  }

  with<Args extends unknown[], Call extends (...args: Args) => ReturnType<Call>>(
    active: Context,
    call: Call,
    self?: ThisParameterType<Call>,
    ...args: Args
  ): ReturnType<Call> {
    return this.#storage.run(active, () => call.call(self, ...args))
  }

  bind<Target>(_active: Context, target: Target): Target {
    return target
  }

  enable(): this {
    return this
  }

  disable(): this {
    this.#storage.disable()
    return this
  }
}

/** Runs a test as in an application whose SDK follows the active context. */
async function withContexts(run: () => Promise<void>): Promise<void> {
  context.setGlobalContextManager(new StorageContextManager())
  try {
    await run()
  } finally {
    context.disable()
  }
}

function providers() {
  const spans = new InMemorySpanExporter()
  const spanProcessors = [new SimpleSpanProcessor(spans)]
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 30 })
  return {
    options: {
      tracerProvider: new BasicTracerProvider({ spanProcessors }),
      meterProvider: new MeterProvider({ readers: [reader] }),
    },
    spanProcessors,
    named: (name: string) => spans.getFinishedSpans().filter((span) => span.name === name),
    loads: () => spans.getFinishedSpans().filter(({ name }) => name === 'memcache load'),
    reads: () => spans.getFinishedSpans().filter(({ name }) => name.startsWith('memcache getOrSet')),
    operations: () => spans.getFinishedSpans().filter(({ kind }) => kind === SpanKind.CLIENT),
    async metric(name: string) {
      exporter.reset()
      await reader.forceFlush()
      const found = exporter.getMetrics()[0]?.scopeMetrics.flatMap((scope) => scope.metrics)
      const metric = found?.find(({ descriptor }) => descriptor.name === name)
      return metric?.dataPoints.map(({ attributes, value }) => [attributes['memcache.cache.name'], value])
    },
    async points(name: string) {
      exporter.reset()
      await reader.forceFlush()
      const found = exporter.getMetrics()[0]?.scopeMetrics.flatMap((scope) => scope.metrics) ?? []
      const points = found.find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? []
      return points.map(({ attributes, value }) => ({ attributes, value }))
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

  it('reports keys only with its option, and nothing of other caches', async () => {
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

  it('makes a span of each getOrSet and getOrSetMany, hits and failures among them', async () => {
    await using test = await openCache()
    const { options, reads } = providers()
    const end = instrumentMemcache(test.cache, options)
    const { cache } = test
    await cache.getOrSet('k', () => 1, 60)
    await cache.getOrSet('k', () => 1, 60)
    await cache.namespace('n').getOrSetMany([1, 2], (ids) => new Map(ids.map((id) => [id, id])), 60)
    await expect(cache.getOrSet('bad', () => Promise.reject(new Error('no rows')), 60)).rejects.toThrow('no rows')
    await expect(cache.getOrSet('k', 'no loader' as never)).rejects.toThrow('needs a loader')
    expect(reads().map(({ name, status }) => [name, status.code])).toEqual([
      ['memcache getOrSet', SpanStatusCode.UNSET],
      ['memcache getOrSet', SpanStatusCode.UNSET],
      ['memcache getOrSetMany', SpanStatusCode.UNSET],
      ['memcache getOrSet', SpanStatusCode.ERROR],
      ['memcache getOrSet', SpanStatusCode.ERROR],
    ])
    expect(reads()[0]!.attributes).toEqual({ 'memcache.cache.name': 'default' })
    end()
    await cache.getOrSet('k', () => 1, 60)
    expect(reads()).toHaveLength(5)
  })

  it('reports the connections of each server, open and waiting', async () => {
    await using test = await openCache()
    const { options, points } = providers()
    const end = instrumentMemcache(test.cache, options)
    const server = test.cache.client.servers[0]!
    expect(await points('db.client.connection.max')).toEqual([
      { attributes: { 'db.client.connection.pool.name': server }, value: test.cache.client.connections().length },
    ])
    await test.cache.set('k', 1)
    expect(await points('db.client.connection.count')).toContainEqual({
      attributes: { 'db.client.connection.pool.name': server, 'db.client.connection.state': 'idle' },
      value: test.cache.client.connections().filter(({ state }) => state === 'ready').length,
    })
    expect(await points('db.client.connection.pending_requests')).toEqual([
      { attributes: { 'db.client.connection.pool.name': server }, value: 0 },
    ])
    end()
  })

  it('makes operations and the loader’s spans children of the span of getOrSet', async () => {
    await using test = await openCache()
    const { options, reads, operations, named } = providers()
    const end = instrumentMemcache(test.cache, options)
    const tracer = options.tracerProvider.getTracer('test')
    await withContexts(async () => {
      const request = tracer.startSpan('request')
      const load = async (): Promise<number> => {
        tracer.startSpan('query').end()
        return 1
      }
      await context.with(trace.setSpan(context.active(), request), () => test.cache.getOrSet('k', load, 60))
      await context.with(trace.setSpan(context.active(), request), () => test.cache.getOrSet('k', load, 60))
      const [miss, hit] = reads().map((span) => span.spanContext().spanId)
      expect(reads().map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual([
        request.spanContext().spanId,
        request.spanContext().spanId,
      ])
      expect(new Set(operations().map(({ parentSpanContext }) => parentSpanContext?.spanId))).toEqual(
        new Set([miss, hit]),
      )
      expect(named('query').map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual([miss])
      expect(named('memcache load').map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual([miss])
    })
    end()
  })

  it.each([
    ['a request that is not sampled', 'request'],
    ['a getOrSet that is not sampled', 'none'],
  ])('starts no spans that would be dropped: within %s', async (_, parent) => {
    await using test = await openCache()
    const asked: string[] = []
    const sampler = new AlwaysOffSampler()
    const tracerProvider = new BasicTracerProvider({
      sampler: {
        shouldSample(_context, _traceId, name) {
          asked.push(name)
          return sampler.shouldSample()
        },
        toString: () => 'recording',
      },
    })
    const { options, points } = providers()
    const end = instrumentMemcache(test.cache, { ...options, tracerProvider })
    await withContexts(async () => {
      const read = () => test.cache.getOrSet('k', () => 1, 60)
      const request = tracerProvider.getTracer('test').startSpan('request')
      await (parent === 'request' ? context.with(trace.setSpan(context.active(), request), read) : read())
    })
    expect(asked).toEqual(parent === 'request' ? ['request'] : ['request', 'memcache getOrSet'])
    expect((await points('db.client.operation.duration')).length).toBeGreaterThan(0)
    end()
  })

  it('makes spans within a remote parent that is not sampled, and within spans of a tracer that does nothing', async () => {
    await using test = await openCache()
    const { options, spanProcessors, reads, operations } = providers()
    const end = instrumentMemcache(test.cache, {
      ...options,
      tracerProvider: new BasicTracerProvider({
        sampler: new AlwaysOnSampler(),
        spanProcessors,
      }),
    })
    const ids = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: TraceFlags.NONE }
    await withContexts(async () => {
      for (const parent of [{ ...ids, isRemote: true }, INVALID_SPAN_CONTEXT])
        await context.with(trace.setSpanContext(context.active(), parent), () => test.cache.getOrSet('k', () => 1, 60))
    })
    expect(reads()).toHaveLength(2)
    expect(operations().length).toBeGreaterThan(1)
    end()
  })

  it('creates no span without a parent span of the application, by an option', async () => {
    await using test = await openCache()
    const { options, reads, operations } = providers()
    const end = instrumentMemcache(test.cache, { ...options, requireParentSpan: true })
    await test.cache.getOrSet('k', () => 1, 60)
    expect([...reads(), ...operations()]).toEqual([])
    await withContexts(async () => {
      const parent = options.tracerProvider.getTracer('test').startSpan('request')
      await context.with(trace.setSpan(context.active(), parent), () => test.cache.getOrSet('k', () => 1, 60))
    })
    expect(reads()).toHaveLength(1)
    expect(operations().length).toBeGreaterThan(0)
    end()
  })
})
