import { checkCall } from './call-deadline.ts'
import type { CallOptions } from './call-options.ts'
import type { Dispatcher, ServerPool } from './dispatcher.ts'
import { LinesOperation } from './operations/lines-operation.ts'
import type { LinesRequest } from './operations/lines-operation.ts'

/** The commands to whole servers: to all of them, or to the server that the call names. */
export class ServerCommands {
  readonly #dispatcher: Dispatcher

  constructor(dispatcher: Dispatcher) {
    this.#dispatcher = dispatcher
  }

  /** Returns every server's response to a request, by its name. Rejects if one server fails. */
  async onAll(request: LinesRequest, options: CallOptions | undefined): Promise<Map<string, string[]>> {
    checkCall(options)
    const answers = [...this.#onEach(request, options)]
    return new Map(await Promise.all(answers.map(async ([server, answer]) => [server, await answer] as const)))
  }

  /** Returns for each server `undefined` if it responds to a request, otherwise the error. Never rejects. */
  async failuresOn(request: LinesRequest, options: CallOptions | undefined): Promise<Map<string, Error | undefined>> {
    const answers = [...this.#onEach(request, options)]
    const settled = await Promise.allSettled(answers.map(([, answer]) => answer))
    return new Map(
      settled.map((answer, index) => [
        answers[index]![0],
        answer.status === 'fulfilled' ? undefined : (answer.reason as Error),
      ]),
    )
  }

  #onEach(request: LinesRequest, options: CallOptions | undefined): Map<string, Promise<string[]>> {
    const ask = (pool: ServerPool): Promise<string[]> =>
      new Promise((resolve, reject) => {
        const operation = new LinesOperation(request, undefined, resolve, reject)
        this.#dispatcher.sendTo(pool, operation, '', options)
      })
    const { pools } = this.#dispatcher
    const asked = options?.server === undefined ? pools : [this.#dispatcher.poolFor('', options)]
    return new Map(asked.map((pool) => [pool.address.name, ask(pool)]))
  }
}
