import { tracingChannel } from 'node:diagnostics_channel'
import { startCall } from './call-deadline.ts'
import { checkNames } from './call-option-names.ts'
import type { CallOptions, ClientKey } from './call-options.ts'
import { nameOf } from './client-key.ts'
import type { Opening } from './discovery/opening.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { ServerAddress } from './server-address.ts'

/** What subscribers of the channels `tracing:memcache-ts-client:operation:*` are told of an operation. */
export interface OperationContext {
  /** The method's name: `get`, `getMulti`, `meta.set` … */
  readonly operation: string
  /** The keys as the caller gave them, joined; empty for operations on servers. */
  readonly keys: readonly string[]
  /** The server, where it is one; the same object for all operations of a client on it. */
  readonly server:
    | { readonly name: string; readonly host: string | undefined; readonly port: number | undefined }
    | undefined
  /** What it resolved to, in `asyncEnd`. */
  result?: unknown
  /** What it rejected with, in `error`. */
  error?: unknown
}

/** The name of the tracing channel: its channels are `tracing:memcache-ts-client:operation:start` and so on. */
export const OPERATION_CHANNEL = 'memcache-ts-client:operation'

/** The channel that tracers subscribe to. Without a subscriber, no context is made. */
export const operationChannel = tracingChannel<OperationContext, OperationContext>(OPERATION_CHANNEL)

/** An operation as subscribers are told of it: on a key, on several, or on servers. */
interface TracedCall<Options extends CallOptions> {
  /** The method's name. */
  readonly operation: string
  readonly key?: ClientKey | undefined
  readonly keys?: readonly ClientKey[]
  readonly options: Options | undefined
}

/**
 * Every operation begins here: subscribers of the channel are told, and while discovery is pending, the operation waits
 * for it. If a subscriber throws, the operation goes on, and Node reports the exception as uncaught.
 */
export class Tracing {
  readonly #dispatcher: Dispatcher
  readonly #opening: Opening
  readonly #defaultTimeoutMs: number
  /** One object per server, so that subscribers can keep what they derive from it. */
  readonly #places = new WeakMap<ServerAddress, NonNullable<OperationContext['server']>>()

  constructor(dispatcher: Dispatcher, opening: Opening, defaultTimeoutMs: number) {
    this.#dispatcher = dispatcher
    this.#opening = opening
    this.#defaultTimeoutMs = defaultTimeoutMs
  }

  /**
   * Begins an operation on a key, on several, or on servers; what `begin` throws is a rejection too.
   *
   * @param begin is handed the options of the call, less the time that it has waited.
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
    // It may have been closed meanwhile.
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

/** Returns the keys as they stand in errors; none if one is invalid, which the operation itself rejects. */
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
