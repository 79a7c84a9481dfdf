import type { RequestBuffer } from '../../connection/request-buffer.ts'
import type { ArithmeticOperation } from '../../operations/arithmetic-operation.ts'
import type { DeleteOperation } from '../../operations/delete-operation.ts'
import type { KeyListOperation } from '../../operations/key-list-operation.ts'
import type { LinesOperation } from '../../operations/lines-operation.ts'
import { OperationKind } from '../../operations/operation.ts'
import type { Operation } from '../../operations/operation.ts'
import type { RetrievalOperation } from '../../operations/retrieval-operation.ts'
import type { StoreOperation } from '../../operations/store-operation.ts'
import type { AnswerReader, AnswerSink, Dialect } from '../dialect.ts'
import { BinaryAnswers } from './binary-answers.ts'
import {
  writeArithmetic,
  writeDelete,
  writeKeyList,
  writeLines,
  writeRetrieval,
  writeStore,
} from './binary-requests.ts'

let lastOpaque = 0

/**
 * The basic commands of the binary protocol, which memcached has deprecated, for hosted servers that demand SASL
 * (protocol-binary).
 */
export const binaryDialect: Dialect = {
  name: 'binary',

  readerFor(sink: AnswerSink): AnswerReader {
    return new BinaryAnswers(sink)
  },

  write(operation: Operation, requests: RequestBuffer): void {
    requests.room()
    operation.opaque = lastOpaque = (lastOpaque + 1) >>> 0
    switch (operation.kind) {
      case OperationKind.keyList:
        return writeKeyList(operation as KeyListOperation, requests)
      case OperationKind.retrieval:
        return writeRetrieval(operation as RetrievalOperation, requests)
      case OperationKind.store:
        return writeStore(operation as StoreOperation, requests)
      case OperationKind.delete:
        return writeDelete(operation as DeleteOperation, requests)
      case OperationKind.arithmetic:
        return writeArithmetic(operation as ArithmeticOperation, requests)
      default:
        return writeLines(operation as LinesOperation, requests)
    }
  },
}
