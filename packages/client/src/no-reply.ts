import { setImmediate } from 'node:timers'
import type { WriteOptions, Written } from './call-options.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { Opening } from './waiting-calls.ts'

/** Writes with the option `noreply`, which resolve before their responses. */
export class NoReply {
  readonly #dispatcher: Pick<Dispatcher, 'isCrowded'>
  readonly #opening: Pick<Opening, 'isOpen'>

  constructor(dispatcher: Pick<Dispatcher, 'isCrowded'>, opening: Pick<Opening, 'isOpen'>) {
    this.#dispatcher = dispatcher
    this.#opening = opening
  }

  /**
   * Returns the promise of a write. With `noreply`, it resolves when the request is passed to its connection; an
   * invalid call still rejects. The request still has a response, which is read like any other, so that the order of
   * responses never depends on which errors a server reports.
   */
  written<Result, Options extends WriteOptions>(
    call: Promise<Result>,
    options: Options | undefined,
  ): Promise<Written<Options, Result>> {
    if (!wantsNoReply(options)) return call as Promise<Written<Options, Result>>
    // Many writes in a loop that awaits them: without a turn of the event loop, no response would ever be read.
    const isHandedOn = this.#opening.isOpen && !this.#dispatcher.isCrowded
    const handedOn = isHandedOn ? undefined : new Promise((resolve) => setImmediate(resolve))
    return Promise.race([call, handedOn]).then(nothing) as Promise<Written<Options, Result>>
  }
}

/** Returns whether a call's options have `noreply`. Options that cannot be read count as without: they reject the call. */
function wantsNoReply(options: WriteOptions | undefined): boolean {
  try {
    return options?.noreply === true
  } catch {
    return false
  }
}

function nothing(): void {}
