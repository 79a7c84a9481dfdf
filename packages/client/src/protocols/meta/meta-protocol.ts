import { KeyListCodec, LineProtocol } from '../line/line-protocol.ts'
import { LinesCodec } from '../line/lines-codec.ts'
import { metaArithmetic } from './arithmetic-codec.ts'
import { metaDelete } from './delete-codec.ts'
import { metaRetrieval } from './retrieval-codec.ts'
import { metaStore } from './store-codec.ts'

/** The meta commands, and classic `get` for many keys, which is faster (protocol.txt, "Meta Commands"). */
export const metaProtocol = new LineProtocol('meta', {
  keyList: new KeyListCodec('told'),
  retrieval: metaRetrieval,
  store: metaStore,
  delete: metaDelete,
  arithmetic: metaArithmetic,
  lines: new LinesCodec({ hasMeta: true }),
})
