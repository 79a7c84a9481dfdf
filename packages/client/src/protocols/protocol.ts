import type { MemcacheError } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../connection/link.ts'
import type { Operation } from '../operations/operation.ts'
import type { ArithmeticOperation, DeleteOperation, StoreOperation } from '../operations/write-operations.ts'
import type { KeyListOperation } from '../operations/key-list-operation.ts'
import type { LinesOperation } from '../operations/lines-operation.ts'
import type { RetrievalOperation } from '../operations/retrieval-operation.ts'

/** The names of the protocols. */
export type ProtocolName = 'meta' | 'text' | 'binary'

/** The connection of a response reader. */
export interface ResponseSink {
  /** The server's name, for errors. */
  readonly server: string
  /** Returns the operation that the next response belongs to. */
  first(): Operation | undefined
  /** Notes that the first operation's response is complete. */
  finished(): void
  /**
   * Reports that responses are invalid or no longer match the requests: nothing more is read.
   *
   * @param refusal the server's error if it refused the connection itself.
   */
  desync(reason: string, refusal?: MemcacheError): void
  /** Returns a text of a server without the password, for errors. */
  redact(text: string): string
}

/** Reads a server's responses, and passes them to the operations in their order. */
export interface ResponseReader {
  /** Reads received bytes; `buffer` may be reused afterwards. */
  push(buffer: Buffer, start: number, end: number): void
  /** Whether a part of the first operation's response was received. */
  readonly isMidResponse: boolean
  /** Stops reading, since the connection was closed. */
  stop(): void
}

/** Writes operations as requests, and reads responses as results. */
export interface Protocol {
  readonly name: ProtocolName
  readerFor(sink: ResponseSink): ResponseReader
  /**
   * Writes an operation's request.
   *
   * @throws MemcacheUnsupportedError if the protocol has no command for it; nothing is written then.
   */
  write(operation: Operation, requests: RequestBuffer): void
}

/** The operations by their kind: a protocol has a codec for each, and the compiler reports a missing codec. */
export interface OperationOf {
  keyList: KeyListOperation
  retrieval: RetrievalOperation
  store: StoreOperation
  delete: DeleteOperation
  arithmetic: ArithmeticOperation
  lines: LinesOperation
}
