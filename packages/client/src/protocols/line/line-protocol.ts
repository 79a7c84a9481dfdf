import type { RequestBuffer } from '../../connection/request-buffer.ts'
import type { OperationOf } from '../../operations/operation-kinds.ts'
import type { Operation, OperationKind } from '../../operations/operation.ts'
import type { Protocol, ProtocolName, ResponseReader, ResponseSink } from '../protocol.ts'
import type { LineCodec } from './line-codec.ts'
import { LineReader } from './line-reader.ts'

/** A codec for each kind of operation. */
export type LineCodecs = { readonly [Kind in OperationKind]: LineCodec<OperationOf[Kind]> }

/** A protocol of lines: classic text or meta. */
export class LineProtocol implements Protocol {
  readonly name: ProtocolName
  readonly #codecs: LineCodecs

  constructor(name: ProtocolName, codecs: LineCodecs) {
    this.name = name
    this.#codecs = codecs
  }

  readerFor(sink: ResponseSink): ResponseReader {
    return new LineReader(sink)
  }

  write(operation: Operation, requests: RequestBuffer): void {
    const codec: LineCodec<Operation> = this.#codecs[operation.kind]
    requests.room()
    codec.write(operation, requests)
    operation.codec = codec
  }
}
