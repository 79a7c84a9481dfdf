import { KeyListExchange } from '../key-list-exchange.ts'
import { LineDialect } from '../line-dialect.ts'
import { LinesExchange } from '../lines-exchange.ts'
import { metaArithmetic } from './arithmetic-exchange.ts'
import { metaDelete } from './delete-exchange.ts'
import { metaRetrieval } from './retrieval-exchange.ts'
import { metaStore } from './store-exchange.ts'

/** The meta commands, and classic `get` for many keys, which is faster (protocol.txt, "Meta Commands"). */
export const metaDialect = new LineDialect('meta', [
  new KeyListExchange('told'),
  metaRetrieval,
  metaStore,
  metaDelete,
  metaArithmetic,
  new LinesExchange(true),
])
