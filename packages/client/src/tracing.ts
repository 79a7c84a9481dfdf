import { tracingChannel } from 'node:diagnostics_channel'
import { MemcacheTimeoutError } from 'memcache-ts-protocol'
import type { CallOptions, ClientKey } from './call-options.ts'
import { nameOf } from './commands.ts'
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

/** For any tracer; nothing is made while nobody listens. */
const channel = tracingChannel<OperationContext, OperationContext>(OPERATION_CHANNEL)

/** The way of every operation into the client: past those who listen, and, where servers are still being found, after that. */
export class Tracing {
  readonly #dispatcher: Dispatcher
  readonly #defaultTimeoutMs: number
  /** Resolves when it is known which servers there are; `undefined` when they are. */
  opening: Promise<void> | undefined

  constructor(dispatcher: Dispatcher, defaultTimeoutMs: number) {
    this.#dispatcher = dispatcher
    this.#defaultTimeoutMs = defaultTimeoutMs
  }

  /** Whether operations may begin at once, without `run`. */
  get isIdle(): boolean {
    return this.opening === undefined && !channel.hasSubscribers
  }

  /** Begins an operation on a key, on several, or on servers; what `begin` throws is a rejection too. */
  run<Result>(
    operation: string,
    keys: ClientKey | readonly ClientKey[] | undefined,
    options: CallOptions | undefined,
    begin: () => Promise<Result>,
    many = false,
  ): Promise<Result> {
    if (this.opening !== undefined) {
      return this.#afterOpening(options).then(() => this.run(operation, keys, options, begin, many))
    }
    if (!channel.hasSubscribers) return beginOrReject(begin)
    const list = keys === undefined ? [] : ((many ? keys : [keys]) as readonly ClientKey[])
    const context: OperationContext = { operation, keys: namesOf(list), server: this.#serverOf(list, options) }
    return channel.tracePromise(() => beginOrReject(begin), context)
  }

  #afterOpening(options: CallOptions | undefined): Promise<void> {
    const { opening } = this
    const timeoutMs = options?.timeoutMs ?? this.#defaultTimeoutMs
    const signal = options?.signal
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const abort = (): void => settle(() => reject(signal!.reason as Error))
      const timer = setTimeout(() => {
        settle(() => reject(new MemcacheTimeoutError(`no servers are known after ${timeoutMs} ms: discovery goes on`)))
      }, timeoutMs)
      const settle = (then: () => void): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        then()
      }
      signal?.addEventListener('abort', abort, { once: true })
      opening!.then(
        () => settle(resolve),
        (error: unknown) => settle(() => reject(error)),
      )
    })
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
      // A key that cannot be is told of by the operation itself.
      return undefined
    }
  }
}

/** The keys as they stand in errors; none that cannot be, which the operation itself tells of. */
function namesOf(keys: readonly ClientKey[]): string[] {
  try {
    return keys.map(nameOf)
  } catch {
    return []
  }
}

function beginOrReject<Result>(begin: () => Promise<Result>): Promise<Result> {
  try {
    return begin()
  } catch (error) {
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- as it was thrown
    return Promise.reject(error)
  }
}
