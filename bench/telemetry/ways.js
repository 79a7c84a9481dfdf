import { AsyncLocalStorage } from 'node:async_hooks'
import { context, createNoopMeter, ROOT_CONTEXT, SpanKind, trace, TraceFlags } from '@opentelemetry/api'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { AlwaysOffSampler, BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { instrumentMemcache } from 'memcache-ts/otel'

const succeed = (_data, callback) => callback({ code: 0 })
const nothing = () => Promise.resolve()
/**
 * Takes spans and metrics as a collector's exporter would, and sends them nowhere: what a network costs is the
 * collector's matter.
 */
const exporter = { export: succeed, shutdown: nothing, forceFlush: nothing }

const everySpan = () => new BasicTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] })
const noSpan = () => new BasicTracerProvider({ sampler: new AlwaysOffSampler() })
/** With a reader, since without one the SDK drops what it is given. */
const withMetrics = () =>
  new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 30 })] })
const noMetrics = { getMeter: createNoopMeter }

const ATTRIBUTES = {
  'db.system.name': 'memcached',
  'db.operation.name': 'get',
  'server.address': '127.0.0.1',
  'server.port': 11211,
}

/**
 * Each way prepares a process: `read` is one hit if it is not just the cache's, and `within` calls a round.
 *
 * @type {Record<
 *   string,
 *   (
 *     cache: import('memcache-ts').Memcache,
 *     hit: () => Promise<unknown>,
 *   ) => { read?: () => Promise<unknown>; within?: <Result>(round: () => Result) => Result }
 * >}
 */
export const WAYS = {
  'no telemetry': () => ({}),
  'metrics only': (cache) => instrument(cache, { meterProvider: withMetrics() }),
  'the SDK alone: one duration': (_cache, hit) => ({ read: recording(hit) }),
  'spans sampled out, no metrics': (cache) => instrument(cache, { tracerProvider: noSpan(), meterProvider: noMetrics }),
  'spans sampled out, and metrics': (cache) =>
    instrument(cache, { tracerProvider: noSpan(), meterProvider: withMetrics() }),
  'AsyncLocalStorage, where the SDK for Node has the active span': () => inRequest(),
  'spans and metrics, in a request that is not sampled': (cache) => {
    instrument(cache, { tracerProvider: everySpan(), meterProvider: withMetrics() })
    return inRequest()
  },
  'every span and metrics': (cache) => instrument(cache, { tracerProvider: everySpan(), meterProvider: withMetrics() }),
  'the SDK alone: two spans and one duration': (_cache, hit) => {
    const tracer = everySpan().getTracer('bench')
    const read = async () => {
      const outer = tracer.startSpan('memcache getOrSet', { attributes: { 'memcache.cache.name': 'default' } })
      const inner = tracer.startSpan('get 127.0.0.1:11211', { kind: SpanKind.CLIENT, attributes: ATTRIBUTES })
      await hit()
      inner.end()
      outer.end()
    }
    return { read: recording(read) }
  },
}

function instrument(cache, providers) {
  instrumentMemcache(cache, providers)
  return {}
}

/** A hit around which the SDK records a duration. */
function recording(read) {
  const histogram = withMetrics().getMeter('bench').createHistogram('db.client.operation.duration')
  return async () => {
    const startedAt = performance.now()
    await read()
    histogram.record((performance.now() - startedAt) / 1000, ATTRIBUTES)
  }
}

/** Makes the active context follow asynchronous calls, as the SDK for Node does, in a span that is not sampled. */
function inRequest() {
  const storage = new AsyncLocalStorage()
  const manager = {
    active: () => storage.getStore() ?? ROOT_CONTEXT,
    with: (active, call, self, ...args) => storage.run(active, () => call.call(self, ...args)),
    bind: (_active, target) => target,
    enable: () => manager,
    disable: () => manager,
  }
  context.setGlobalContextManager(manager)
  const notSampled = trace.wrapSpanContext({
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    traceFlags: TraceFlags.NONE,
  })
  return { within: (round) => context.with(trace.setSpan(ROOT_CONTEXT, notSampled), round) }
}
