import { KeyListCodec, LineProtocol } from '../line/line-protocol.ts'
import { LinesCodec } from '../line/lines-codec.ts'
import { textArithmetic } from './arithmetic-codec.ts'
import { textDelete } from './delete-codec.ts'
import { textRetrieval } from './retrieval-codec.ts'
import { textStore } from './store-codec.ts'

function textWith({ mayHaveLeases }: { readonly mayHaveLeases: boolean }): LineProtocol {
  return new LineProtocol('text', {
    keyList: new KeyListCodec(mayHaveLeases ? 'untold' : 'none'),
    retrieval: textRetrieval(mayHaveLeases),
    store: textStore,
    delete: textDelete,
    arithmetic: textArithmetic,
    lines: new LinesCodec({ hasMeta: false }),
  })
}

/**
 * The classic text protocol for servers that may have meta commands, and therefore leases, although this client does
 * not use them.
 */
export const textProtocol = textWith({ mayHaveLeases: true })

/** The classic text protocol, for servers that are too old for leases. */
export const oldTextProtocol = textWith({ mayHaveLeases: false })
