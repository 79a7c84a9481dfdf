import type { RequestBuffer } from '../connection/request-buffer.ts'
import type { Operation } from '../operations/operation.ts'
import type { AnswerReader, AnswerSink, Dialect, DialectName } from './dialect.ts'
import { LineAnswers } from './line-answers.ts'
import type { LineExchange } from './line-exchange.ts'

/** A dialect of lines: an exchange for each kind of operation, in the order of `OperationKind`. */
export class LineDialect implements Dialect {
  readonly name: DialectName
  readonly #exchanges: readonly LineExchange[]

  constructor(name: DialectName, exchanges: readonly LineExchange[]) {
    this.name = name
    this.#exchanges = exchanges
  }

  readerFor(sink: AnswerSink): AnswerReader {
    return new LineAnswers(sink)
  }

  write(operation: Operation, requests: RequestBuffer): void {
    const exchange = this.#exchanges[operation.kind]!
    requests.room()
    exchange.write(operation as never, requests)
    operation.exchange = exchange
  }
}
