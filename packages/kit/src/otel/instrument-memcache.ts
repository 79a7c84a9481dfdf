import { channel } from 'node:diagnostics_channel'
import { metrics, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { Meter, MeterProvider, Tracer, TracerProvider } from '@opentelemetry/api'
import { booleanOption, checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import { instrumentMemcachedClients } from 'memcache-ts-client/otel'
import { Memcache } from '../memcache.ts'
import { KIT_METRICS } from '../telemetry/kit-metrics.ts'
import type { KitMetric } from '../telemetry/kit-metrics.ts'

/** Options of `instrumentMemcache`. */
export interface MemcacheInstrumentationOptions {
  /** The provider of spans. Default: the global one. */
  tracerProvider?: TracerProvider | undefined
  /** The provider of metrics. Default: the global one. */
  meterProvider?: MeterProvider | undefined
  /** Whether spans contain the keys, which may hold personal data. Default false. */
  keys?: boolean | undefined
}

const SCOPE = 'memcache-ts'
const OPTION_NAMES = [
  'tracerProvider',
  'meterProvider',
  'keys',
] as const satisfies readonly (keyof MemcacheInstrumentationOptions)[]
const CACHE_ATTRIBUTE = 'memcache.cache.name'
const KEY_ATTRIBUTE = 'memcache.key'

/** A message of the channels `memcache-ts:load` and `memcache-ts:loadError`. */
interface LoadMessage {
  readonly cache: unknown
  readonly details: readonly unknown[]
}

/**
 * Reports caches to OpenTelemetry: their statistics as metrics `memcache.…`, which are read at each export; a span
 * `memcache load` for each run of a loader; and every operation of memcached clients as `instrumentMemcachedClients`
 * does. Hits cost nothing in the kit itself.
 * @param caches a cache, whose name is `default`, or caches by name.
 * @returns a function that stops the instrumentation.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 * @example
 *   instrumentMemcache({ sessions, reports })
 */
export function instrumentMemcache(
  caches: Memcache | Readonly<Record<string, Memcache>>,
  options: MemcacheInstrumentationOptions = {},
): () => void {
  checkOptions('instrumentMemcache', options, OPTION_NAMES)
  const { tracerProvider = trace, meterProvider = metrics } = options
  const withKeys = booleanOption('keys', options.keys ?? false)
  const names = namesOf(caches)
  const endMetrics = observe(meterProvider.getMeter(SCOPE), names)
  const endLoads = traceLoads(tracerProvider.getTracer(SCOPE), names, withKeys)
  const endClients = instrumentMemcachedClients({ tracerProvider, meterProvider, queryText: withKeys })
  return () => {
    endMetrics()
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

/** Creates a span when a loader has ended, in the context of the call that caused it. */
function traceLoads(tracer: Tracer, names: ReadonlyMap<Memcache, string>, withKeys: boolean): () => void {
  const started = (message: LoadMessage, milliseconds: number) => {
    const name = names.get(message.cache as Memcache)
    if (name === undefined) return undefined
    const attributes = { [CACHE_ATTRIBUTE]: name, ...(withKeys ? { [KEY_ATTRIBUTE]: String(message.details[0]) } : {}) }
    return tracer.startSpan('memcache load', {
      kind: SpanKind.INTERNAL,
      attributes,
      startTime: Date.now() - milliseconds,
    })
  }
  const loaded = (message: unknown): void => {
    started(message as LoadMessage, Number((message as LoadMessage).details[1]))?.end()
  }
  const failed = (message: unknown): void => {
    const span = started(message as LoadMessage, Number((message as LoadMessage).details[2] ?? 0))
    const error = (message as LoadMessage).details[1]
    if (error instanceof Error) span?.recordException(error)
    span?.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) })
    span?.end()
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
