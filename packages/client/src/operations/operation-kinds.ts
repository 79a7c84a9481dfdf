import type { ArithmeticOperation } from './arithmetic-operation.ts'
import type { DeleteOperation } from './delete-operation.ts'
import type { KeyListOperation } from './key-list-operation.ts'
import type { LinesOperation } from './lines-operation.ts'
import type { RetrievalOperation } from './retrieval-operation.ts'
import type { StoreOperation } from './store-operation.ts'

/** The operations by their kind: a protocol has a codec for each, and the compiler reports a missing codec. */
export interface OperationOf {
  keyList: KeyListOperation
  retrieval: RetrievalOperation
  store: StoreOperation
  delete: DeleteOperation
  arithmetic: ArithmeticOperation
  lines: LinesOperation
}
