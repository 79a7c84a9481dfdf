import { tracingChannel } from 'node:diagnostics_channel'
import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { MemcachedServer } from 'memcache-ts-server'
import { freePort } from 'memcache-ts-testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheOptionError } from '../src/index.ts'
import type { OperationContext } from '../src/index.ts'
import { instrumentMemcachedClients } from '../src/otel/index.ts'
import type { InstrumentationOptions } from '../src/otel/index.ts'

const server = new MemcachedServer({ port: 0 })
let port: number
let client: MemcachedClient
beforeAll(async () => {
  port = (await server.listen()).port
  client = new MemcachedClient({ servers: `127.0.0.1:${port}`, timeoutMs: 5000 })
})
afterAll(async () => {
  await client.close()
  await server.close()
})

describe('the tracing channel', () => {
  it('reports every operation: its keys, its server, its result', async () => {
    const told: [string, OperationContext][] = []
    const channel = tracingChannel<OperationContext, OperationContext>('memcache-ts-client:operation')
    const subscribers = {
      start: (context: OperationContext) => told.push(['start', { ...context }]),
      end() {},
      asyncStart() {},
      asyncEnd: (context: OperationContext) => told.push(['end', { ...context }]),
      error: (context: OperationContext) => told.push(['error', { ...context }]),
    }
    channel.subscribe(subscribers)
    await client.set(['city', 1], 'Bern')
    await client.getMulti([['city', 1], 'b'])
    await expect(client.get('not a key')).rejects.toThrow('a space')
    await client.version()
    channel.unsubscribe(subscribers)
    await client.get('unheard')
    const place = { name: `127.0.0.1:${port}`, host: '127.0.0.1', port }
    expect(told.map(([event, { operation, keys }]) => [event, operation, keys])).toEqual([
      ['start', 'set', ['city:1']],
      ['end', 'set', ['city:1']],
      ['start', 'getMulti', ['city:1', 'b']],
      ['end', 'getMulti', ['city:1', 'b']],
      ['start', 'get', ['not a key']],
      ['error', 'get', ['not a key']],
      ['end', 'get', ['not a key']],
      ['start', 'version', []],
      ['end', 'version', []],
    ])
    expect(told[0]![1].server).toEqual(place)
    expect([...(told[3]![1].result as Map<unknown, unknown>).values()]).toEqual(['Bern'])
    expect(told[5]![1].error).toMatchObject({ code: 'ERR_MEMCACHE_KEY' })
  })
})

describe('OpenTelemetry', () => {
  it('gets spans and durations after the semantic conventions', async () => {
    const spans = new InMemorySpanExporter()
    const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 30 })
    const meterProvider = new MeterProvider({ readers: [reader] })
    const stop = instrumentMemcachedClients({ tracerProvider, meterProvider, queryText: true })
    const dead = `127.0.0.1:${await freePort()}`
    await using away = new MemcachedClient(dead)
    await client.set('k', 'v')
    await client.getMulti(['k', 'l'])
    await expect(away.get('k')).rejects.toThrow('ECONNREFUSED')
    stop()
    await client.get('unheard')

    const [set, multi, failed, ...more] = spans.getFinishedSpans()
    expect(more).toEqual([])
    expect(set).toMatchObject({ name: `set 127.0.0.1:${port}`, kind: SpanKind.CLIENT })
    expect(set!.attributes).toEqual({
      'db.system.name': 'memcached',
      'db.operation.name': 'set',
      'server.address': '127.0.0.1',
      'server.port': port,
      'db.query.text': 'set k',
    })
    expect(multi!.attributes).toMatchObject({ 'db.operation.name': 'getMulti', 'db.operation.batch.size': 2 })
    expect(failed!.status.code).toBe(SpanStatusCode.ERROR)
    expect(failed!.attributes).toMatchObject({ 'error.type': 'ERR_MEMCACHE_CONNECTION', 'server.address': '127.0.0.1' })

    await meterProvider.forceFlush()
    const [metric] = exporter.getMetrics()[0]!.scopeMetrics[0]!.metrics
    expect(metric!.descriptor).toMatchObject({ name: 'db.client.operation.duration', unit: 's' })
    const points = metric!.dataPoints.map(({ attributes }) => attributes)
    expect(points.map((attributes) => attributes['db.operation.name'])).toEqual(['set', 'getMulti', 'get'])
    expect(points[0]).not.toHaveProperty('db.query.text')
    expect(points[2]).toMatchObject({ 'error.type': 'ERR_MEMCACHE_CONNECTION' })
    await meterProvider.shutdown()
  })

  it('reports no keys unless requested, and refuses unknown options', async () => {
    const spans = new InMemorySpanExporter()
    const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
    const stop = instrumentMemcachedClients({ tracerProvider })
    await client.get('secret')
    stop()
    expect(spans.getFinishedSpans()[0]!.attributes).not.toHaveProperty('db.query.text')
    expect(() => instrumentMemcachedClients({ querytext: true } as never)).toThrow('`querytext` is `queryText` here')
  })

  it('records a failure whose reason is no error: signals and visitors may give any value', async () => {
    const unreadable = {
      get code() {
        throw new Error('mine')
      },
    }
    const reasons: readonly [reason: unknown, type: string][] = [
      [null, '_OTHER'],
      ['enough', '_OTHER'],
      [5, '_OTHER'],
      [Symbol('enough'), '_OTHER'],
      [Object.create(null), '_OTHER'],
      [unreadable, '_OTHER'],
      [new DOMException('enough', 'AbortError'), 'AbortError'],
      [new TypeError('enough'), 'TypeError'],
      [Object.assign(new Error('enough'), { code: 'ENOUGH' }), 'ENOUGH'],
    ]
    const spans = new InMemorySpanExporter()
    const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
    const stop = instrumentMemcachedClients({ tracerProvider })
    for (const [reason] of reasons) {
      await expect(client.get('k', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    }
    await client.set('visited', 1)
    await expect(client.metadump(() => Promise.reject(undefined as unknown as Error))).rejects.toBe(undefined)
    stop()
    const failed = spans.getFinishedSpans().filter(({ name }) => !name.startsWith('set'))
    expect(failed.map(({ attributes }) => attributes['error.type'])).toEqual([
      ...reasons.map(([, type]) => type),
      '_OTHER',
    ])
    expect(new Set(failed.map(({ status }) => status.code))).toEqual(new Set([SpanStatusCode.ERROR]))
  })

  it.each(['tracerProvider', 'meterProvider', 'queryText', 'requireParentSpan', 'clients'])(
    'refuses a wrong %s',
    (name) => {
      for (const wrong of [null, 5, 'yes', {}, [{}]]) {
        const options = { [name]: wrong } as InstrumentationOptions
        expect(() => instrumentMemcachedClients(options)).toThrow(MemcacheOptionError)
      }
    },
  )
})
