import { tracingChannel } from 'node:diagnostics_channel'
import { startCall } from './call-deadline.ts'
import { checkNames } from './argument-checks.ts'
import type { CallOptions, ClientKey } from './call-options.ts'
import { nameOf } from './client-key.ts'
import type { Opening } from './waiting-calls.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { ServerAddress } from './server-address.ts'

/** The message to subscribers of the channels `tracing:memcache-ts-client:operation:*`. */
export interface OperationContext {
  /** The method's name: `get`, `getMulti`, `meta.set` … */
  readonly operation: string
  /** The keys as the caller passed them, joined; empty for operations on servers. */
  readonly keys: readonly string[]
  /** The server, if there is only one; the same object for all operations of a client on it. */
  readonly server:
    | { readonly name: string; readonly host: string | undefined; readonly port: number | undefined }
    | undefined
  /** The result, in `asyncEnd`. */
  result?: unknown
  /** The error, in `error`. */
  error?: unknown
}

/** The name of the tracing channel: its channels are `tracing:memcache-ts-client:operation:start` and so on. */
export const OPERATION_CHANNEL = 'memcache-ts-client:operation'

/** The channel that tracers subscribe to. Without a subscriber, no context is allocated. */
export const operationChannel = tracingChannel<OperationContext, OperationContext>(OPERATION_CHANNEL)

/** An operation as subscribers see it: on a key, on several keys, or on servers. */
interface TracedCall<Options extends CallOptions> {
  /** The method's name. */
  readonly operation: string
  readonly key?: ClientKey | undefined
  readonly keys?: readonly ClientKey[]
  readonly options: Options | undefined
}

/**
 * Begins every operation: publishes it to the channel, and waits for discovery if that is pending. If a subscriber
 * throws, the operation continues, and Node reports the exception as uncaught.
 */
export class Tracing {
  readonly #dispatcher: Dispatcher
  readonly #opening: Opening
  readonly #defaultTimeoutMs: number
  /** One object per server, so that subscribers can cache data that they derive from it. */
  readonly #places = new WeakMap<ServerAddress, NonNullable<OperationContext['server']>>()

  constructor(dispatcher: Dispatcher, opening: Opening, defaultTimeoutMs: number) {
    this.#dispatcher = dispatcher
    this.#opening = opening
    this.#defaultTimeoutMs = defaultTimeoutMs
  }

  /**
   * Begins an operation on a key, on several keys, or on servers. If `begin` throws, the promise rejects.
   *
   * @param begin receives the call's options, whose time limit is reduced by the time of waiting.
   */
  run<Result, Options extends CallOptions>(
    call: TracedCall<Options>,
    begin: (options: Options | undefined) => Promise<Result>,
  ): Promise<Result> {
    const { operation, options } = call
    if (options !== undefined) {
      try {
        checkNames(operation, options)
      } catch (error) {
        // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- as it was thrown
        return Promise.reject(error)
      }
    }
    return this.#opening.isOpen ? this.#begin(call, begin) : this.#afterOpening(call, begin)
  }

  #begin<Result, Options extends CallOptions>(
    { operation, key, keys = key === undefined ? [] : [key], options }: TracedCall<Options>,
    begin: (options: Options | undefined) => Promise<Result>,
  ): Promise<Result> {
    if (!operationChannel.hasSubscribers) return beginOrReject(begin, options)
    const context: OperationContext = { operation, keys: namesOf(keys), server: this.#serverOf(keys, options) }
    return operationChannel.tracePromise(() => beginOrReject(begin, options), context)
  }

  async #afterOpening<Result, Options extends CallOptions>(
    call: TracedCall<Options>,
    begin: (options: Options | undefined) => Promise<Result>,
  ): Promise<Result> {
    const step = startCall(call.options, this.#defaultTimeoutMs)
    await this.#opening.pass(step.deadline!)
    // The client may have been closed meanwhile.
    return this.#opening.isOpen
      ? this.#begin({ ...call, options: step as Options }, begin)
      : this.#afterOpening(call, begin)
  }

  #serverOf(keys: readonly ClientKey[], options: CallOptions | undefined): OperationContext['server'] {
    const dispatcher = this.#dispatcher
    try {
      const pools = keys.length === 0 ? dispatcher.pools : undefined
      const pool = pools === undefined ? dispatcher.poolFor(dispatcher.wireKey(keys[0]!), options) : pools[0]
      if (pool === undefined || (pools !== undefined && pools.length > 1)) return undefined
      for (let index = 1; index < keys.length; index++)
        if (dispatcher.poolFor(dispatcher.wireKey(keys[index]!), options) !== pool) return undefined
      return this.#place(pool.address)
    } catch {
      // The operation itself rejects an invalid key.
      return undefined
    }
  }

  #place(address: ServerAddress): OperationContext['server'] {
    let place = this.#places.get(address)
    if (place === undefined) {
      place = { name: address.name, host: address.host ?? address.path, port: address.port }
      this.#places.set(address, place)
    }
    return place
  }
}

/** Returns the keys as errors show them; none if a key is invalid, since the operation itself rejects it. */
function namesOf(keys: readonly ClientKey[]): string[] {
  try {
    return keys.length === 1 ? [nameOf(keys[0]!)] : keys.map(nameOf)
  } catch {
    return []
  }
}

function beginOrReject<Result, Options>(
  begin: (options: Options | undefined) => Promise<Result>,
  options: Options | undefined,
): Promise<Result> {
  try {
    return begin(options)
  } catch (error) {
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- as it was thrown
    return Promise.reject(error)
  }
}
