import { context, isSpanContextValid, trace, TraceFlags } from '@opentelemetry/api'

/**
 * Returns whether a span that is started now can be recorded, so that instrumentation need not create a span that the
 * SDK drops: `false` within a span of this process that is not sampled, whose children are not sampled either
 * (OpenTelemetry's `ParentBased` sampler), and, if `requireParentSpan` is true, outside any span. A parent in another
 * process does not decide, since samplers may treat it differently.
 */
export function isSpanWanted(requireParentSpan: boolean): boolean {
  const parent = trace.getSpan(context.active())
  if (parent === undefined) return !requireParentSpan
  if (parent.isRecording()) return true
  const spanContext = parent.spanContext()
  if ((spanContext.traceFlags & TraceFlags.SAMPLED) !== 0 || spanContext.isRemote === true) return true
  // The span of a tracer that does nothing: it says nothing about other tracers.
  return !isSpanContextValid(spanContext) && !requireParentSpan
}
