import { booleanOption, choiceOption, kindOf, MemcacheOptionError, MemcacheTimeoutError } from 'memcache-ts-protocol'
import type { CallOptions, WriteOptions } from './call-options.ts'

/** The parts of a `CallDeadline`. */
type CallLimits = Pick<CallDeadline, 'at' | 'timeoutMs' | 'signal'> & Partial<Pick<CallDeadline, 'batchSize'>>

/** The limits of an operation under way. */
interface Limits {
  readonly deadline: number
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly call: CallDeadline | undefined
}

/**
 * The deadline of one call, shared by all of its steps: discovery, connecting, every chunk and every server.
 * `startCall` creates it once, and each step carries it (`StepOptions`), so that `timeoutMs` limits the whole call.
 */
export class CallDeadline {
  /**
   * The time when the call is given up, in milliseconds of `performance.now()`; extended by time in which this process
   * was busy.
   */
  at: number
  /** The limit of the whole call, for errors. */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  /**
   * The number of operations that a batch begins at once, otherwise 0. A queue accepts so many beyond its limit: the
   * limit is meant for independent calls, and must not refuse a part of one call.
   */
  readonly batchSize: number

  private constructor({ at, timeoutMs, signal, batchSize = 0 }: CallLimits) {
    this.at = at
    this.timeoutMs = timeoutMs
    this.signal = signal
    this.batchSize = batchSize
  }

  /** Returns the deadline of a call whose time begins now. */
  static fromNow(timeoutMs: number, signal?: AbortSignal): CallDeadline {
    return new CallDeadline({ at: performance.now() + timeoutMs, timeoutMs, signal })
  }

  /** Returns the same call's deadline, for a batch that begins so many operations at once. */
  forBatch(batchSize: number): CallDeadline {
    const { at, timeoutMs, signal } = this
    return new CallDeadline({ at, timeoutMs, signal, batchSize })
  }

  /** Returns the deadline of an operation under way, for the steps that follow from its response. */
  static of({ deadline, timeoutMs, signal, call }: Limits): CallDeadline {
    return call ?? new CallDeadline({ at: deadline, timeoutMs, signal })
  }

  /**
   * Throws if the call has ended: its signal's reason, or a timeout.
   *
   * @throws MemcacheTimeoutError
   */
  check(): void {
    throwIfAborted(this.signal)
    if (performance.now() >= this.at) {
      throw new MemcacheTimeoutError(
        `the call took longer than its timeoutMs (${this.timeoutMs}): not all of its steps were done`,
      )
    }
  }
}

/** The options of a step of a call: those of the call, and its deadline. */
export interface StepOptions extends CallOptions {
  readonly deadline?: CallDeadline | undefined
}

/**
 * Returns the options for the steps of a call; the call's time begins now. Options that already belong to a step are
 * returned unchanged.
 *
 * @throws MemcacheOptionError if an option is invalid.
 */
export function startCall(options: CallOptions | undefined, defaultTimeoutMs: number): StepOptions {
  if (deadlineOf(options) !== undefined) return options!
  checkCall(options)
  return { ...options, deadline: CallDeadline.fromNow(options?.timeoutMs ?? defaultTimeoutMs, options?.signal) }
}

/** Returns the options for the operations of a batch, which begin at once; see `startCall`. */
export function startBatch(options: CallOptions | undefined, defaultTimeoutMs: number, batchSize: number): StepOptions {
  const step = startCall(options, defaultTimeoutMs)
  return { ...step, deadline: step.deadline!.forBatch(batchSize) }
}

/** Returns the same call's options for a step on another key, which goes to its own server. */
export function onOwnServer({ deadline, timeoutMs, signal }: StepOptions): StepOptions {
  return { deadline, timeoutMs, signal }
}

/** Returns the deadline that a step's options carry. */
export function deadlineOf(options: StepOptions | undefined): CallDeadline | undefined {
  const deadline = options?.deadline
  return deadline instanceof CallDeadline ? deadline : undefined
}

/**
 * Checks a call's options, and throws the signal's reason if the signal is already aborted.
 *
 * @throws MemcacheOptionError if an option is invalid.
 */
export function checkCall(options: CallOptions | undefined): void {
  if (options === undefined) return
  if (typeof options !== 'object' || options === null) {
    throw new MemcacheOptionError(`the options of a call must be an object, got ${kindOf(options)}`)
  }
  const { timeoutMs, signal, unreadable, noreply } = options as WriteOptions
  if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs > 0)) {
    const got = typeof timeoutMs === 'number' ? timeoutMs : `${kindOf(timeoutMs)}: convert it with Number(…)`
    throw new MemcacheOptionError(`timeoutMs must be a number of milliseconds greater than 0, got ${got}`)
  }
  if (unreadable !== undefined) choiceOption('unreadable', unreadable, ['error', 'miss'])
  if (noreply !== undefined) booleanOption('noreply', noreply)
  if (signal !== undefined) {
    if (!isSignal(signal)) throw new MemcacheOptionError(`signal must be an AbortSignal, got ${kindOf(signal)}`)
    throwIfAborted(signal)
  }
}

function isSignal(signal: AbortSignal): boolean {
  try {
    return typeof signal?.addEventListener === 'function' && typeof signal.aborted === 'boolean'
  } catch {
    return false
  }
}

/** Returns the reason of an aborted signal; old polyfills have none. Never throws. */
export function reasonOf(signal: AbortSignal): unknown {
  try {
    const { reason } = signal
    return reason === undefined ? new DOMException('This operation was aborted', 'AbortError') : reason
  } catch (error) {
    return error
  }
}

/** Throws the reason of an aborted signal, like the signal's own method, which some polyfills lack. */
function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw reasonOf(signal)
}
