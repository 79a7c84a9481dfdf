import { KeyListExchange } from '../key-list-exchange.ts'
import { LineDialect } from '../line-dialect.ts'
import { LinesExchange } from '../lines-exchange.ts'
import { textArithmetic } from './arithmetic-exchange.ts'
import { textDelete } from './delete-exchange.ts'
import { textRetrieval } from './retrieval-exchange.ts'
import { textStore } from './store-exchange.ts'

function textWith(mayHaveLeases: boolean): LineDialect {
  return new LineDialect('text', [
    new KeyListExchange(mayHaveLeases ? 'untold' : 'none'),
    textRetrieval(mayHaveLeases),
    textStore,
    textDelete,
    textArithmetic,
    new LinesExchange(false),
  ])
}

/** The classic text protocol, for servers that are asked without meta commands although they may have them, and leases with them. */
export const textDialect = textWith(true)

/** The classic text protocol, for servers that are too old for leases. */
export const oldTextDialect = textWith(false)
