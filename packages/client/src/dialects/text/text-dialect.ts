import { KeyListExchange } from '../key-list-exchange.ts'
import { LineDialect } from '../line-dialect.ts'
import { LinesExchange } from '../lines-exchange.ts'
import { textArithmetic } from './arithmetic-exchange.ts'
import { textDelete } from './delete-exchange.ts'
import { textRetrieval } from './retrieval-exchange.ts'
import { textStore } from './store-exchange.ts'

/** The classic text protocol, for servers without meta commands. */
export const textDialect = new LineDialect('text', [
  new KeyListExchange(false),
  textRetrieval,
  textStore,
  textDelete,
  textArithmetic,
  new LinesExchange(false),
])
