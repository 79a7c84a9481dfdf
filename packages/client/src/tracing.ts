import { tracingChannel } from 'node:diagnostics_channel'
import { startCall } from './call-deadline.ts'
import { checkNames } from './call-option-names.ts'
import type { CallOptions, ClientKey } from './call-options.ts'
import { nameOf } from './client-key.ts'
import type { Opening } from './discovery/opening.ts'
import type { Dispatcher } from './dispatcher.ts'

/** What subscribers of the channels `tracing:memcache-ts-client:operation:*` are told of an operation. */
export interface OperationContext {
  /** The method's name: `get`, `getMulti`, `meta.set` … */
  readonly operation: string
  /** The keys as the caller gave them, joined; empty for operations on servers. */
  readonly keys: readonly string[]
  /** The server, where it is one. */
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
 * Every operation begins here: subscribers of the channel are told, and while discovery is pending, the operation waits for it. If a subscriber
 * throws, the operation goes on, and Node reports the exception as uncaught.
 */
export class Tracing {
  readonly #dispatcher: Dispatcher
  readonly #opening: Opening
  readonly #defaultTimeoutMs: number

  constructor(dispatcher: Dispatcher, opening: Opening, defaultTimeoutMs: number) {
    this.#dispatcher = dispatcher
    this.#opening = opening
    this.#defaultTimeoutMs = defaultTimeoutMs
  }

  /**
   * Begins an operation on a key, on several, or on servers; what `begin` throws is a rejection too.
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
    try {
      const pools = new Set(
        keys.length === 0
          ? this.#dispatcher.pools
          : keys.map((key) => this.#dispatcher.poolFor(this.#dispatcher.wireKey(key), options)),
      )
      if (pools.size !== 1) return undefined
      const [{ address }] = pools as unknown as [
        { address: { name: string; host?: string; port?: number; path?: string } },
      ]
      return { name: address.name, host: address.host ?? address.path, port: address.port }
    } catch {
      // The operation itself rejects an invalid key.
      return undefined
    }
  }
}

/** The keys as they stand in errors; none if one is invalid, which the operation itself rejects. */
function namesOf(keys: readonly ClientKey[]): string[] {
  try {
    return keys.map(nameOf)
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
