import { tracingChannel } from 'node:diagnostics_channel'
import {
  context,
  isSpanContextValid,
  metrics,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  ValueType,
} from '@opentelemetry/api'
import type {
  Attributes,
  Histogram,
  MeterProvider,
  Span,
  SpanOptions,
  Tracer,
  TracerProvider,
} from '@opentelemetry/api'
import { booleanOption, checkOptions, kindOf, MemcacheOptionError } from 'memcache-ts-protocol'
import { messageOf } from '../errors.ts'
import { observeConnections } from './observe-connections.ts'
import { OPERATION_CHANNEL } from '../tracing.ts'
import type { OperationContext } from '../tracing.ts'
import type { MemcachedClient } from '../memcached-client.ts'

const SCOPE = 'memcache-ts-client'
/** The bucket boundaries in seconds that the semantic conventions advise for `db.client.operation.duration`. */
const DURATION_BOUNDARIES = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
/** The minimum number of keys of a batch. */
const MIN_BATCH = 2

/** Options of `instrumentMemcachedClients`. */
export interface InstrumentationOptions {
  /** Clients whose connections are reported as `db.client.connection.*`. Default: none. */
  clients?: readonly MemcachedClient[] | undefined
  /** The provider of spans. Default: the global one. */
  tracerProvider?: TracerProvider | undefined
  /** The provider of metrics. Default: the global one. */
  meterProvider?: MeterProvider | undefined
  /** Whether a span's `db.query.text` has the keys, which may contain confidential data. Default false. */
  queryText?: boolean | undefined
  /**
   * Whether only operations within a span of the application get a span, so that background work costs less. Default
   * false.
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

/** The common data of the operations of one name on one server, created once. */
interface OperationKind {
  readonly spanName: string
  readonly attributes: Attributes
  readonly spanOptions: SpanOptions
}

/** A running operation. */
interface Running {
  readonly kind: OperationKind
  readonly span: Span | undefined
  readonly startedAt: number
}

/**
 * Records a span for every operation of every client in this process, and its duration in the metric
 * `db.client.operation.duration` (OpenTelemetry's semantic conventions for database clients). Within a span that is not
 * sampled, an operation gets no span.
 *
 * @example
 *   const stop = instrumentMemcachedClients()
 *
 * @returns a function that stops the instrumentation.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function instrumentMemcachedClients(options: InstrumentationOptions = {}): () => void {
  checkOptions('instrumentMemcachedClients', options, { names: OPTION_NAMES })
  const { tracerProvider = trace, meterProvider = metrics, clients = [] } = options
  const { queryText = false, requireParentSpan = false } = options
  checkProvider('tracerProvider', tracerProvider, 'getTracer')
  checkProvider('meterProvider', meterProvider, 'getMeter')
  booleanOption('queryText', queryText)
  booleanOption('requireParentSpan', requireParentSpan)
  const meter = meterProvider.getMeter(SCOPE)
  const endConnections = observeConnections(meter, clients)
  const duration = meter.createHistogram('db.client.operation.duration', {
    description: 'Duration of database client operations.',
    unit: 's',
    valueType: ValueType.DOUBLE,
    advice: { explicitBucketBoundaries: DURATION_BOUNDARIES },
  })
  const endOperations = traceOperations(tracerProvider.getTracer(SCOPE), duration, { queryText, requireParentSpan })
  return () => {
    endOperations()
    endConnections()
  }
}

/** @throws MemcacheOptionError if the value does not have the method. */
function checkProvider<Method extends string>(name: string, provider: object, method: Method): void {
  if (typeof (provider as Partial<Record<Method, unknown>> | null)?.[method] === 'function') return
  throw new MemcacheOptionError(`${name} must have the method ${method}, got ${kindOf(provider)}`)
}

/**
 * Subscribes to the start and the end of operations. A running operation is a property of its context under a symbol:
 * in a WeakMap it would cost a microsecond, most of it for the garbage collector.
 */
function traceOperations(
  tracer: Tracer,
  duration: Histogram,
  { queryText, requireParentSpan }: { queryText: boolean; requireParentSpan: boolean },
): () => void {
  const running = Symbol('running operation')
  type TracedContext = OperationContext & { [running]?: Running }
  const kinds = new OperationKinds()
  const onStart = (message: unknown): void => {
    const context = message as TracedContext
    const kind = kinds.of(context)
    const span = isSpanWanted({ requireParentSpan })
      ? tracer.startSpan(kind.spanName, spanOptionsOf(kind, context, { queryText }))
      : undefined
    context[running] = { kind, span, startedAt: performance.now() }
  }
  const onEnd = (message: unknown): void => {
    const context = message as TracedContext
    const operation = context[running]
    if (operation !== undefined) finish(operation, context, duration)
  }
  const { start, asyncEnd } = tracingChannel<OperationContext, OperationContext>(OPERATION_CHANNEL)
  start.subscribe(onStart)
  asyncEnd.subscribe(onEnd)
  return () => {
    start.unsubscribe(onStart)
    asyncEnd.unsubscribe(onEnd)
  }
}

/** The kinds of operations, by server and name. */
class OperationKinds {
  readonly #byServer = new WeakMap<object, Map<string, OperationKind>>()
  readonly #withoutServer = new Map<string, OperationKind>()

  of({ operation, server }: OperationContext): OperationKind {
    const kinds = server === undefined ? this.#withoutServer : this.#of(server)
    let kind = kinds.get(operation)
    if (kind === undefined) {
      kind = createKind(operation, server)
      kinds.set(operation, kind)
    }
    return kind
  }

  #of(server: object): Map<string, OperationKind> {
    let kinds = this.#byServer.get(server)
    if (kinds === undefined) {
      kinds = new Map()
      this.#byServer.set(server, kinds)
    }
    return kinds
  }
}

function createKind(operation: string, server: OperationContext['server']): OperationKind {
  const attributes: Attributes = { 'db.system.name': 'memcached', 'db.operation.name': operation }
  if (server?.host !== undefined) attributes['server.address'] = server.host
  if (server?.port !== undefined) attributes['server.port'] = server.port
  const spanName = server === undefined ? operation : `${operation} ${server.name}`
  return { spanName, attributes, spanOptions: { kind: SpanKind.CLIENT, attributes } }
}

/** Returns attributes of a single operation: of its span only, since each value in a metric would be a time series. */
function spanOptionsOf(
  kind: OperationKind,
  { operation, keys }: OperationContext,
  { queryText }: { readonly queryText: boolean },
): SpanOptions {
  if (!queryText && keys.length < MIN_BATCH) return kind.spanOptions
  const attributes = { ...kind.attributes }
  if (keys.length >= MIN_BATCH) attributes['db.operation.batch.size'] = keys.length
  if (queryText) attributes['db.query.text'] = [operation, ...keys].join(' ')
  return { kind: SpanKind.CLIENT, attributes }
}

function finish({ kind, span, startedAt }: Running, context: OperationContext, duration: Histogram): void {
  const seconds = (performance.now() - startedAt) / 1000
  // The reason of a signal may be anything, such as null.
  if (!('error' in context)) {
    span?.end()
    return duration.record(seconds, kind.attributes)
  }
  const { error } = context
  const errorType = errorTypeOf(error)
  span?.setAttribute('error.type', errorType)
  span?.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) })
  span?.end()
  duration.record(seconds, { ...kind.attributes, 'error.type': errorType })
}

/** The type of an error that has neither a code nor a name (the semantic conventions of `error.type`). */
const OTHER = '_OTHER'

/** Returns the code of an error, else its name. Never throws. */
function errorTypeOf(error: unknown): string {
  try {
    const { code, name } = Object(error) as { code?: unknown; name?: unknown }
    return [code, name].find((type): type is string => typeof type === 'string' && type !== '') ?? OTHER
  } catch {
    return OTHER
  }
}

/**
 * Returns whether a span that is started now can be recorded, so that instrumentation need not create a span that the
 * SDK drops: `false` within a span of this process that is not sampled, whose children are not sampled either
 * (OpenTelemetry's `ParentBased` sampler), and, if `requireParentSpan` is true, outside any span. A parent in another
 * process does not decide, since samplers may treat it differently.
 */
export function isSpanWanted({ requireParentSpan }: { readonly requireParentSpan: boolean }): boolean {
  const parent = trace.getSpan(context.active())
  if (parent === undefined) return !requireParentSpan
  if (parent.isRecording()) return true
  const spanContext = parent.spanContext()
  if ((spanContext.traceFlags & TraceFlags.SAMPLED) !== 0 || spanContext.isRemote === true) return true
  // The span of a tracer that does nothing: it says nothing about other tracers.
  return !isSpanContextValid(spanContext) && !requireParentSpan
}
