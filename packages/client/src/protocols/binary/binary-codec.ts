import type { BinaryPacket } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { OperationOf } from '../../operations/operation-kinds.ts'
import type { OperationKind } from '../../operations/operation.ts'
import { readArithmetic, readDelete, readKeyList, readLines, readRetrieval, readStore } from './binary-responses.ts'
import type { BinaryResponses } from './binary-responses.ts'
import {
  writeArithmetic,
  writeDelete,
  writeKeyList,
  writeLines,
  writeRetrieval,
  writeStore,
} from './binary-requests.ts'

/** Writes one kind of operation, and reads its response, in the binary protocol. */
export interface BinaryCodec<Kind> {
  /** Writes the request. @throws MemcacheUnsupportedError if the protocol has no command for it. */
  write(operation: Kind, requests: RequestBuffer): void
  /**
   * Reads a packet of the response; returns whether the response is complete. Returns false if the packet does not
   * match the request.
   */
  read(operation: Kind, packet: BinaryPacket, responses: BinaryResponses): boolean
}

/** A codec for each kind of operation. */
export const binaryCodecs: { readonly [Kind in OperationKind]: BinaryCodec<OperationOf[Kind]> } = {
  keyList: { write: writeKeyList, read: readKeyList },
  retrieval: { write: writeRetrieval, read: readRetrieval },
  store: { write: writeStore, read: readStore },
  delete: { write: writeDelete, read: readDelete },
  arithmetic: { write: writeArithmetic, read: readArithmetic },
  lines: { write: writeLines, read: readLines },
}
