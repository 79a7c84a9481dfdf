import type { RequestBuffer } from '../../connection/link.ts'
import type { Operation } from '../../operations/operation.ts'
import type { Protocol, ResponseReader, ResponseSink } from '../protocol.ts'
import { binaryCodecs } from './binary-codec.ts'
import type { BinaryCodec } from './binary-codec.ts'
import { BinaryReader } from './binary-reader.ts'

let lastOpaque = 0

/**
 * The basic commands of the binary protocol, which memcached has deprecated, for hosted servers that demand SASL
 * (protocol-binary).
 */
export const binaryProtocol: Protocol = {
  name: 'binary',

  readerFor(sink: ResponseSink): ResponseReader {
    return new BinaryReader(sink)
  },

  write(operation: Operation, requests: RequestBuffer): void {
    requests.room()
    operation.opaque = lastOpaque = (lastOpaque + 1) >>> 0
    const codec: BinaryCodec<Operation> = binaryCodecs[operation.kind]
    codec.write(operation, requests)
  },
}
