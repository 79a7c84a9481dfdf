import { channel, tracingChannel } from 'node:diagnostics_channel'
import { context as activeContext, INVALID_TRACEID, metrics, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { Meter, MeterProvider, Span, SpanOptions, Tracer, TracerProvider } from '@opentelemetry/api'
import { booleanOption, checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import { instrumentMemcachedClients, isSpanWanted } from 'memcache-ts-client/otel'
import { READ_CHANNEL } from '../engine/engine.ts'
import type { ReadContext } from '../engine/engine.ts'
import { Memcache } from '../memcache.ts'
import { KIT_METRICS } from '../telemetry/kit-metrics.ts'
import type { KitMetric } from '../telemetry/kit-metrics.ts'

export { instrumentMemcachedClients } from 'memcache-ts-client/otel'

/** Options of `instrumentMemcache`. */
export interface MemcacheInstrumentationOptions {
  /** The provider of spans. Default: the global one. */
  tracerProvider?: TracerProvider | undefined
  /** The provider of metrics. Default: the global one. */
  meterProvider?: MeterProvider | undefined
  /** Whether spans contain the keys, which may hold personal data. Default false. */
  keys?: boolean | undefined
  /** Whether only calls within a span of the application get a span, so that background work costs less. Default false. */
  requireParentSpan?: boolean | undefined
}

const SCOPE = 'memcache-ts'
const OPTION_NAMES = [
  'tracerProvider',
  'meterProvider',
  'keys',
  'requireParentSpan',
] as const satisfies readonly (keyof MemcacheInstrumentationOptions)[]
const CACHE_ATTRIBUTE = 'memcache.cache.name'
const KEY_ATTRIBUTE = 'memcache.key'
const SPAN_NAMES: Readonly<Record<ReadContext['operation'], string>> = {
  getOrSet: 'memcache getOrSet',
  getOrSetMany: 'memcache getOrSetMany',
}

/** A message of the channels `memcache-ts:load` and `memcache-ts:loadError`. */
interface LoadMessage {
  readonly cache: unknown
  readonly details: readonly unknown[]
}

/**
 * Reports caches to OpenTelemetry: their statistics as metrics `memcache.…`, and their connections as
 * `db.client.connection.…`, which are read at each export; a span `memcache getOrSet` or `memcache getOrSetMany` for
 * each call; a span `memcache load` for each run of a loader; and every operation of memcached clients as
 * `instrumentMemcachedClients` does.
 *
 * @example
 *   instrumentMemcache({ sessions, reports })
 *
 * @param caches a cache, whose name is `default`, or caches by name.
 * @returns a function that stops the instrumentation.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function instrumentMemcache(
  caches: Memcache | Readonly<Record<string, Memcache>>,
  options: MemcacheInstrumentationOptions = {},
): () => void {
  checkOptions('instrumentMemcache', options, { names: OPTION_NAMES })
  const { tracerProvider = trace, meterProvider = metrics } = options
  const withKeys = booleanOption('keys', options.keys ?? false)
  const names = namesOf(caches)
  const requireParentSpan = booleanOption('requireParentSpan', options.requireParentSpan ?? false)
  const endMetrics = observe(meterProvider.getMeter(SCOPE), names)
  const tracer = tracerProvider.getTracer(SCOPE)
  const endReads = traceReads(tracer, names, { withKeys, requireParentSpan })
  const endLoads = traceLoads(tracer, names, { withKeys })
  const endClients = instrumentMemcachedClients({
    tracerProvider,
    meterProvider,
    queryText: withKeys,
    requireParentSpan,
    clients: [...names.keys()].map(({ client }) => client),
  })
  return () => {
    endMetrics()
    endReads()
    endLoads()
    endClients()
  }
}

function namesOf(caches: Memcache | Readonly<Record<string, Memcache>>): Map<Memcache, string> {
  const named = Object.entries(caches instanceof Memcache ? { default: caches } : caches)
  if (named.length === 0) throw new MemcacheOptionError('instrumentMemcache needs a cache: instrumentMemcache(cache)')
  return new Map(
    named.map(([name, cache]) => {
      if (cache instanceof Memcache) return [cache, name]
      throw new MemcacheOptionError(`${name} is not a cache: pass the result of memcache()`)
    }),
  )
}

/** Registers one callback for all instruments, so that each cache is read once per export. */
function observe(meter: Meter, names: ReadonlyMap<Memcache, string>): () => void {
  const instruments = KIT_METRICS.map((metric) => [metric, instrumentOf(meter, metric)] as const)
  const observables = instruments.map(([, instrument]) => instrument)
  const callback: Parameters<Meter['addBatchObservableCallback']>[0] = (result) => {
    for (const [cache, name] of names) {
      const stats = cache.stats()
      for (const [{ read }, instrument] of instruments)
        result.observe(instrument, read(stats), { [CACHE_ATTRIBUTE]: name })
    }
  }
  meter.addBatchObservableCallback(callback, observables)
  return () => meter.removeBatchObservableCallback(callback, observables)
}

function instrumentOf(meter: Meter, { name, type, help }: KitMetric) {
  // OpenTelemetry's names have no `_total`; units are an attribute of the instrument.
  const isSeconds = name.includes('_seconds')
  const otelName = `memcache.${name.replace(/_total$/, '').replace('load_seconds', 'load_time')}`
  const options = { description: help, unit: isSeconds ? 's' : name.endsWith('_bytes') ? 'By' : '1' }
  return type === 'counter'
    ? meter.createObservableCounter(otelName, options)
    : meter.createObservableGauge(otelName, options)
}

/**
 * Creates a span for each `getOrSet` and `getOrSetMany`, from its call to its end. The span is a property of the
 * context under a symbol: in a WeakMap it would cost a microsecond, most of it for the garbage collector.
 */
function traceReads(
  tracer: Tracer,
  names: ReadonlyMap<Memcache, string>,
  { withKeys, requireParentSpan }: { withKeys: boolean; requireParentSpan: boolean },
): () => void {
  const running = Symbol('running read')
  type TracedContext = ReadContext & { [running]?: Span | undefined }
  const spanOptions = new Map([...names].map(([cache, name]) => [cache, spanOptionsOf(name, undefined)]))
  const onStart = (message: unknown): void => {
    const context = message as TracedContext
    const { operation, key } = context
    const options = spanOptions.get(context.cache as Memcache)
    if (options === undefined || !isSpanWanted({ requireParentSpan })) return
    const own = withKeys && key !== undefined ? spanOptionsOf(names.get(context.cache as Memcache)!, key) : options
    const span = tracer.startSpan(SPAN_NAMES[operation], own)
    // Without an SDK, or where tracing is suppressed, the API returns a span that does nothing.
    if (span.spanContext().traceId === INVALID_TRACEID) return
    context[running] = span
    // Operations of the client and spans of a loader become children of the span.
    const { around } = context
    const active = trace.setSpan(activeContext.active(), span)
    context.around = (work) => activeContext.with(active, around === undefined ? work : () => around(work))
  }
  const onEnd = (message: unknown): void => {
    const context = message as TracedContext
    const span = context[running]
    if (span === undefined) return
    context[running] = undefined
    if ('error' in context) fail(span, context.error)
    span.end()
  }
  // A call that throws synchronously has no asynchronous end.
  const onSynchronousEnd = (message: unknown): void => {
    if ('error' in (message as TracedContext)) onEnd(message)
  }
  const { start, end, asyncEnd } = tracingChannel<ReadContext, ReadContext>(READ_CHANNEL)
  start.subscribe(onStart)
  end.subscribe(onSynchronousEnd)
  asyncEnd.subscribe(onEnd)
  return () => {
    start.unsubscribe(onStart)
    end.unsubscribe(onSynchronousEnd)
    asyncEnd.unsubscribe(onEnd)
  }
}

function spanOptionsOf(name: string, key: string | undefined): SpanOptions {
  const attributes = key === undefined ? { [CACHE_ATTRIBUTE]: name } : { [CACHE_ATTRIBUTE]: name, [KEY_ATTRIBUTE]: key }
  return { kind: SpanKind.INTERNAL, attributes }
}

function fail(span: Span, error: unknown): void {
  if (error instanceof Error) span.recordException(error)
  span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) })
}

/** Creates a span when a loader has ended, in the context of the call that caused it. */
function traceLoads(
  tracer: Tracer,
  names: ReadonlyMap<Memcache, string>,
  { withKeys }: { readonly withKeys: boolean },
): () => void {
  const started = (message: LoadMessage, milliseconds: number) => {
    const name = names.get(message.cache as Memcache)
    if (name === undefined || !isSpanWanted({ requireParentSpan: false })) return undefined
    const options = spanOptionsOf(name, withKeys ? String(message.details[0]) : undefined)
    return tracer.startSpan('memcache load', { ...options, startTime: Date.now() - milliseconds })
  }
  const loaded = (message: unknown): void => {
    started(message as LoadMessage, Number((message as LoadMessage).details[1]))?.end()
  }
  const failed = (message: unknown): void => {
    const span = started(message as LoadMessage, Number((message as LoadMessage).details[2] ?? 0))
    if (span === undefined) return
    fail(span, (message as LoadMessage).details[1])
    span.end()
  }
  const load = channel('memcache-ts:load')
  const loadError = channel('memcache-ts:loadError')
  load.subscribe(loaded)
  loadError.subscribe(failed)
  return () => {
    load.unsubscribe(loaded)
    loadError.unsubscribe(failed)
  }
}
