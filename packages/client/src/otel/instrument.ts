import { tracingChannel } from 'node:diagnostics_channel'
import { context as activeContext, metrics, SpanKind, SpanStatusCode, trace, ValueType } from '@opentelemetry/api'
import type { Attributes, Histogram, MeterProvider, Span, Tracer, TracerProvider } from '@opentelemetry/api'
import { booleanOption, checkOptions } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import { observeConnections } from './observe-connections.ts'
import { OPERATION_CHANNEL } from '../tracing.ts'
import type { OperationContext } from '../tracing.ts'
import type { MemcachedClient } from '../memcached-client.ts'

const SCOPE = 'memcache-ts-client'
/** Seconds, as the semantic conventions advise for `db.client.operation.duration`. */
const DURATION_BOUNDARIES = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
/** From here on an operation on several keys is a batch. */
const MIN_BATCH = 2

/** Options of `instrumentMemcachedClients`. */
export interface InstrumentationOptions {
  /** Clients whose connections are reported as `db.client.connection.*`. Default: none. */
  clients?: readonly MemcachedClient[] | undefined
  /** Where spans go. Default: the global one. */
  tracerProvider?: TracerProvider | undefined
  /** Where metrics go. Default: the global one. */
  meterProvider?: MeterProvider | undefined
  /** Whether a span's `db.query.text` tells the keys, which may hold what is not for every eye. Default false. */
  queryText?: boolean | undefined
  /**
   * Whether only operations within a span of the application get one, so that those of background work cost less.
   * Default false.
   */
  requireParentSpan?: boolean | undefined
}

const OPTION_NAMES = [
  'clients',
  'tracerProvider',
  'meterProvider',
  'queryText',
  'requireParentSpan',
] as const satisfies readonly (keyof InstrumentationOptions)[]

/** A running operation. */
interface Running {
  readonly span: Span | undefined
  readonly attributes: Attributes
  readonly startedAt: number
}

/**
 * Records a span for every operation of every client in this process, and its duration in the metric
 * `db.client.operation.duration` (OpenTelemetry's semantic conventions for database clients).
 *
 * @returns a function that ends it.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function instrumentMemcachedClients(options: InstrumentationOptions = {}): () => void {
  checkOptions('instrumentMemcachedClients', options, OPTION_NAMES)
  const { tracerProvider = trace, meterProvider = metrics, queryText = false, clients = [] } = options
  const requireParentSpan = booleanOption('requireParentSpan', options.requireParentSpan ?? false)
  const tracer = tracerProvider.getTracer(SCOPE)
  const meter = meterProvider.getMeter(SCOPE)
  const endConnections = observeConnections(meter, clients)
  const duration = meter.createHistogram('db.client.operation.duration', {
    description: 'Duration of database client operations.',
    unit: 's',
    valueType: ValueType.DOUBLE,
    advice: { explicitBucketBoundaries: DURATION_BOUNDARIES },
  })
  const running = new WeakMap<object, Running>()
  const channel = tracingChannel<OperationContext, OperationContext>(OPERATION_CHANNEL)
  const subscribers = {
    start: (context: OperationContext) =>
      running.set(context, start(tracer, context, { queryText, requireParentSpan })),
    end() {},
    asyncStart() {},
    asyncEnd: (context: OperationContext) => finish(running.get(context), context, duration),
    error() {},
  }
  channel.subscribe(subscribers)
  return () => {
    channel.unsubscribe(subscribers)
    endConnections()
  }
}

function start(
  tracer: Tracer,
  context: OperationContext,
  { queryText, requireParentSpan }: { queryText: boolean; requireParentSpan: boolean },
): Running {
  const { operation, keys, server } = context
  const attributes: Attributes = { 'db.system.name': 'memcached', 'db.operation.name': operation }
  if (server?.host !== undefined) attributes['server.address'] = server.host
  if (server?.port !== undefined) attributes['server.port'] = server.port
  if (keys.length >= MIN_BATCH) attributes['db.operation.batch.size'] = keys.length
  const startedAt = performance.now()
  if (requireParentSpan && trace.getSpan(activeContext.active()) === undefined)
    return { span: undefined, attributes, startedAt }
  const spanAttributes = queryText ? { ...attributes, 'db.query.text': [operation, ...keys].join(' ') } : attributes
  const name = server === undefined ? operation : `${operation} ${server.name}`
  const span = tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes: spanAttributes })
  return { span, attributes, startedAt }
}

function finish(operation: Running | undefined, context: OperationContext, duration: Histogram): void {
  if (operation === undefined) return
  const { span, attributes, startedAt } = operation
  const measured = { ...attributes }
  if (context.error !== undefined) {
    const error = context.error as Partial<MemcacheError> & Error
    measured['error.type'] = error.code ?? error.name
    span?.setAttribute('error.type', measured['error.type'])
    span?.setStatus({ code: SpanStatusCode.ERROR, message: error.message })
  }
  span?.end()
  duration.record((performance.now() - startedAt) / 1000, measured)
}
