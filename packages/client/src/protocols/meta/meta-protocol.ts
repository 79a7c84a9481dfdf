import { KeyListCodec, LineProtocol } from '../line/line-protocol.ts'
import { LinesCodec } from '../line/lines-codec.ts'
import { metaArithmetic } from './arithmetic-codec.ts'
import { metaDelete } from './delete-codec.ts'
import { metaRetrieval } from './retrieval-codec.ts'
import { metaStore } from './store-codec.ts'

function metaWith(keyList: KeyListCodec): LineProtocol {
  return new LineProtocol('meta', {
    keyList,
    retrieval: metaRetrieval,
    store: metaStore,
    delete: metaDelete,
    arithmetic: metaArithmetic,
    lines: new LinesCodec({ hasMeta: true }),
  })
}

/** The meta commands, and classic `get` for many keys, which is faster (protocol.txt, "Meta Commands"). */
export const metaProtocol = metaWith(new KeyListCodec('told'))

/** For memcached's own proxy as of 1.6.18, which fails on `mn` and loses hits of a `get` of several keys. */
export const metaProxyProtocol = metaWith(new KeyListCodec('told', { oneKeyALine: true }))
